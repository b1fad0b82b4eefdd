//! What the way to a cluster offers, in its smallest form.

use crate::Access;
use crate::access::Addresses;
use quorate_engine::resource::{ResourceId, Workplace};
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Runner;

impl<R: Runner> Access<R> {
    pub(crate) async fn via(
        &self,
        addresses: &Addresses,
        not: Option<&ResourceId>,
    ) -> Result<ResourceId, Fault> {
        let planes = self.control_planes(addresses).into_iter();
        let mut others = planes.filter(|id| Some(*id) != not);
        let fault = || Fault::new(FaultClass::Retryable, "no control plane answers");
        others.next().cloned().ok_or_else(fault)
    }

    pub(crate) async fn remove_unstarted(
        &self,
        _: &Addresses,
        _: &ResourceId,
    ) -> Result<(), Fault> {
        Ok(())
    }

    pub(crate) async fn label(
        &self,
        _: &Addresses,
        _: &ResourceId,
        _: &Workplace,
    ) -> Result<(), Fault> {
        Ok(())
    }
}
