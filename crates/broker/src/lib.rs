//! Thalweg: broker.
