//! Thalweg: testkit.
