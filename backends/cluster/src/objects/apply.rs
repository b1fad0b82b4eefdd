//! Objects are applied on the server's side, in an order in which each finds what it needs.

use crate::Access;
use crate::access::{Addresses, within};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Runner;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One request; a large definition takes the API server a while.
const ONE: Duration = Duration::from_secs(15);
/// Who owns the fields.
const MANAGER: &str = "quorate";

/// What the API server knows of kinds: plural name, and whether objects are in a namespace.
type Kinds = BTreeMap<(String, String), (String, bool)>;

impl<R: Runner> Access<R> {
    /// Applies objects. Those that are there are brought to what is said of them; fields of others
    /// stay.
    ///
    /// # Errors
    /// `Busy`: the API server does not know a kind yet whose definition is among them.
    pub(crate) async fn manifests(
        &self,
        addresses: &Addresses,
        objects: &[Value],
    ) -> Result<(), Fault> {
        let client = self.api(addresses).await?;
        let mut kinds = Kinds::new();
        for object in ordered(objects) {
            apply(&client, &mut kinds, object).await?;
        }
        Ok(())
    }
}

/// Namespaces and definitions go first; the mark of what is installed stays last.
fn ordered(objects: &[Value]) -> Vec<&Value> {
    let rank = |object: &&Value| match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" | "PriorityClass" => 2,
        _ => 3,
    };
    let mut all: Vec<_> = objects.iter().collect();
    all.sort_by_key(rank);
    all
}

async fn apply(client: &Client, kinds: &mut Kinds, object: &Value) -> Result<(), Fault> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let name = text(&object["metadata"]["name"]);
    let (plural, namespaced) = known(client, kinds, &version, &kind).await?;
    let (group, short) = version.rsplit_once('/').unwrap_or(("", &version));
    let gvk = GroupVersionKind::gvk(group, short, &kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &plural);
    let api: Api<DynamicObject> = if namespaced {
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or("default");
        Api::namespaced_with(client.clone(), namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    let params = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(object);
    let done = within(ONE, true, api.patch(&name, &params, &patch)).await;
    done.map(drop).map_err(|fault| Fault {
        detail: format!("{kind} {name}: {}", fault.detail),
        ..fault
    })
}

/// What the API server knows of a kind.
async fn known(
    client: &Client,
    kinds: &mut Kinds,
    version: &str,
    kind: &str,
) -> Result<(String, bool), Fault> {
    let key = (version.to_owned(), kind.to_owned());
    if let Some(known) = kinds.get(&key) {
        return Ok(known.clone());
    }
    let unknown = || {
        let what = format!("the API server does not know {kind} of {version} yet");
        Fault::new(FaultClass::Busy, what)
    };
    let listed = async {
        if version.contains('/') {
            client.list_api_group_resources(version).await
        } else {
            client.list_core_api_resources(version).await
        }
    };
    let listed = match within(ONE, false, listed).await {
        Err(fault) if fault.class == FaultClass::NotFound => return Err(unknown()),
        listed => listed?,
    };
    for resource in listed
        .resources
        .iter()
        .filter(|resource| !resource.name.contains('/'))
    {
        let key = (version.to_owned(), resource.kind.clone());
        kinds.insert(key, (resource.name.clone(), resource.namespaced));
    }
    kinds.get(&key).cloned().ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn definitions_go_first_and_the_mark_last() {
        let object = |kind: &str, name: &str| json!({"kind": kind, "metadata": {"name": name}});
        let objects = [
            object("DaemonSet", "d"),
            object("CustomResourceDefinition", "c"),
            object("Namespace", "n"),
            object("ServiceAccount", "s"),
            object("ConfigMap", "mark"),
        ];
        let names: Vec<_> = ordered(&objects)
            .into_iter()
            .map(|object| object["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["n", "c", "s", "d", "mark"]);
    }
}
