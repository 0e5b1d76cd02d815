//! Thalweg: datastream.
