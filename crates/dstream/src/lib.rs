//! Thalweg: dstream.
