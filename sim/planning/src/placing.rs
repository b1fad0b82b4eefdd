//! Where pods and replicas of volumes stand: after the scheduler, and after a loss.
