//! Thalweg: the front door.
