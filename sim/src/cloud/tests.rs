//! Tests of the clouds.
