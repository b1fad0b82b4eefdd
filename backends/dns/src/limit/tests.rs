//! Who is answered, and who is not.
