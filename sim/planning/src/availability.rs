//! How available a design is: exact, with what it hangs on, and how sure that is.
