//! The simulated world: virtual time, models, scenarios and what they came to.

pub mod cloud;
pub mod etcd;
pub mod kernel;
pub mod kube;
pub mod net;
pub mod outcome;
pub mod report;
pub mod run;
pub mod scenario;
pub mod traffic;
pub mod world;
