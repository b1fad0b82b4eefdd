//! A whole report: every section from one manifest and one set of data.
