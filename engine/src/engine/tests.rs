//! The loop as a whole is proven in the simulated world; here stand its corners.
