//! Thalweg: bridge.
