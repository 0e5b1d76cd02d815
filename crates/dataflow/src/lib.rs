//! Thalweg: dataflow.
