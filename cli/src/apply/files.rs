//! Files that the manifest names, looked at before anything is made that would have to wait for them.

use quorate_engine::manifest::{Manifest, Packages};
use quorate_engine::plan::Plan;
use quorate_engine::resource::Kind;
use quorate_engine::seam::Verb;
use quorate_providers::Problem;
use std::path::Path;

/// What is wrong with those that the plan will want.
pub(super) async fn problems(manifest: &Manifest, plan: &Plan) -> Vec<Problem> {
    let releases = quorate_cluster::objects::preflight(manifest, plan).await;
    let releases = releases.into_iter().map(|(field, fault)| Problem {
        what: format!("{field}: {}", fault.detail),
        fix: "name a file with the objects of a release; paths count from where the command runs"
            .to_owned(),
    });
    let mut found: Vec<Problem> = releases.collect();
    let mut steps = plan.steps.iter();
    let prepares = steps
        .any(|step| step.kind == Kind::Host && matches!(step.verb, Verb::Create | Verb::Update));
    let packages = manifest.spec.kubernetes.as_ref();
    if let Some(Packages::Directory(path)) = packages.and_then(|it| it.packages.as_ref())
        && prepares
    {
        let lacking = quorate_hosts::lacking(Path::new(path));
        if !lacking.is_empty() {
            found.push(Problem {
                what: format!(
                    "spec.kubernetes.packages.directory: {path} has no {}",
                    lacking.join(", no ")
                ),
                fix: "put the release's programs there; paths count from where the command runs"
                    .to_owned(),
            });
        }
    }
    found
}
