//! Releases of other projects that a cluster is given, with our settings in them: from a file of the
//! user's, or from the project.
//!
//! Knows nothing of how they are applied.

use super::{cni, longhorn, read, rook};
use quorate_engine::manifest::{CniName, Manifest, StorageEngine};
use quorate_engine::plan::Plan;
use quorate_engine::resource::{Kind, Spec};
use quorate_engine::seam::{Fault, FaultClass, Verb};
use serde_json::Value;

/// The network plugin; nothing where the bridge of the nodes themselves is all there is.
pub(super) async fn network(manifest: &Manifest) -> Result<Vec<Value>, Fault> {
    let Some(kubernetes) = &manifest.spec.kubernetes else {
        return Ok(Vec::new());
    };
    let settings = &kubernetes.cni;
    if settings.name == CniName::Bridge {
        return Ok(Vec::new());
    }
    let text = match (&settings.manifest, cni::release(settings.name)) {
        (Some(path), _) => read::file(path).await?,
        (None, Some(url)) => read::fetched(url, "spec.kubernetes.cni.manifest").await?,
        (None, None) => {
            let what = "Cilium has no manifest of its own: write one with `helm template` and \
                        name it in spec.kubernetes.cni.manifest";
            return Err(Fault::new(FaultClass::Invalid, what));
        }
    };
    let objects = read::objects(&text)?;
    match settings.name {
        // Somebody's own is theirs, but for what only we know.
        CniName::Flannel => cni::flannel(objects, manifest),
        CniName::Calico => cni::calico(objects, manifest),
        CniName::Cilium | CniName::Bridge => Ok(objects),
    }
}

/// Replicated storage, without its mark.
pub(super) async fn storage(manifest: &Manifest, pool: &Spec) -> Result<Vec<Value>, Fault> {
    let Spec::StoragePool {
        engine,
        replicas,
        spread,
        manifest: file,
    } = pool
    else {
        unreachable!("storage is described as one")
    };
    let mut objects = Vec::new();
    if let Some(path) = file {
        objects = read::objects(&read::file(path).await?)?;
    } else {
        let project: &[&str] = match engine {
            StorageEngine::Longhorn => &[longhorn::RELEASE],
            StorageEngine::RookCeph => &rook::RELEASE,
        };
        for url in project {
            let text = read::fetched(url, "spec.storage.manifest").await?;
            objects.extend(read::objects(&text)?);
        }
    }
    match engine {
        StorageEngine::Longhorn => {
            objects = longhorn::settings(objects, *replicas, *spread)?;
            objects.extend(longhorn::classes(manifest, *replicas));
        }
        StorageEngine::RookCeph => objects.extend(rook::cluster(manifest, *replicas, *spread)),
    }
    Ok(objects)
}

/// What is wrong with the releases that a plan will want, as far as it shows here: each with its
/// field. What has to be fetched is not asked for.
pub async fn preflight(manifest: &Manifest, plan: &Plan) -> Vec<(&'static str, Fault)> {
    let mut found = Vec::new();
    let installs = |kind: Kind| {
        let mut steps = plan.steps.iter();
        steps.find(|step| step.kind == kind && matches!(step.verb, Verb::Create | Verb::Update))
    };
    let settings = manifest.spec.kubernetes.as_ref().map(|k| &k.cni);
    let here = settings.is_some_and(|it| it.manifest.is_some() || cni::release(it.name).is_none());
    if here
        && installs(Kind::ControlPlane).is_some()
        && let Err(fault) = network(manifest).await
    {
        found.push(("spec.kubernetes.cni.manifest", fault));
    }
    let pool = installs(Kind::StoragePool).and_then(|step| step.desired.as_ref());
    if let Some(pool) = pool
        && matches!(
            &pool.spec,
            Spec::StoragePool {
                manifest: Some(_),
                ..
            }
        )
        && let Err(fault) = storage(manifest, &pool.spec).await
    {
        found.push(("spec.storage.manifest", fault));
    }
    found
}
