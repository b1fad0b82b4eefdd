//! Providers that refuse us and where nothing of ours ever was: more likely a mistake than trouble.
//!
//! Does not know what can be asked of a provider besides what it lists.

use super::{Engine, Preview};
use crate::resource::Resource;
use crate::seam::{Fault, FaultClass};
use std::sync::Arc;

impl Engine {
    /// A provider that is silent, or where something of ours is, is waited for while the others go
    /// on. One that refuses us and where nothing of ours ever was has as likely a wrong address, or
    /// wrong credentials: why it refuses, and what is wanted of it.
    ///
    /// # Panics
    /// Before the world was looked at: see [`super::Mode::Look`].
    #[must_use]
    pub fn never_met(
        &self,
        provider: &str,
        preview: &Preview,
    ) -> Option<(&Fault, Vec<Arc<Resource>>)> {
        let seen = self.seen.as_ref().expect("the world was looked at");
        let fault = seen.providers.get(provider)?.as_ref().err()?;
        let wanted = preview.desired.as_ref()?.resources();
        let wanted = wanted.filter(|r| r.provider == provider && r.spec.kind().at_provider());
        let wanted: Vec<_> = wanted.cloned().collect();
        let known = |resource: &Arc<Resource>| self.ledger.made.contains(&resource.id);
        let silent = fault.class == FaultClass::Unknown;
        let strange = !silent && !wanted.is_empty() && !wanted.iter().any(known);
        strange.then_some((fault, wanted))
    }
}
