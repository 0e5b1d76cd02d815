//! Thalweg: kafka.
