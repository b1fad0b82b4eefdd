//! Manifests as text: from a file or from its project, and into objects.

use quorate_engine::seam::{Fault, FaultClass};
use quorate_engine::yaml::{self, MAX_BYTES};
use serde_json::Value;
use std::time::Duration;

/// Half a megabyte over a slow path.
const FETCH: Duration = Duration::from_secs(30);

/// A file of the user's.
pub(super) async fn file(path: &str) -> Result<String, Fault> {
    let read = tokio::fs::read_to_string(path).await;
    read.map_err(|error| Fault::new(FaultClass::Invalid, format!("{path}: {error}")))
}

/// A release of a project. `instead`: the field that names another source.
pub(super) async fn fetched(url: &str, instead: &str) -> Result<String, Fault> {
    let trouble = |why: String| {
        let what = format!("{url} cannot be had ({why}); {instead} can stand for it");
        Fault::new(FaultClass::Retryable, what)
    };
    let client = reqwest::Client::builder().timeout(FETCH).build();
    let client = client.map_err(|error| trouble(error.to_string()))?;
    let asked = async {
        client
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await
    };
    asked.await.map_err(|error| {
        let mut why: &dyn std::error::Error = &error;
        while let Some(source) = why.source() {
            why = source;
        }
        trouble(why.to_string())
    })
}

/// The objects of a manifest; lists are taken apart.
pub(super) fn objects(text: &str) -> Result<Vec<Value>, Fault> {
    let wrong = |what: String| Fault::new(FaultClass::Invalid, format!("the manifest: {what}"));
    if text.len() > MAX_BYTES {
        return Err(wrong(format!("more than {MAX_BYTES} bytes")));
    }
    let parsed = yaml::parse(text.as_bytes());
    if let Some(first) = parsed.diagnostics.first() {
        let (line, message) = (first.span.line, &first.finding.message);
        return Err(wrong(format!("line {line}: {message}")));
    }
    let mut objects = Vec::new();
    for document in &parsed.documents {
        let object: Value = yaml::decode(document).map_err(|found| {
            wrong(format!(
                "line {}: {}",
                found.span.line, found.finding.message
            ))
        })?;
        match object {
            Value::Null => {}
            Value::Object(mut fields) if fields.get("kind") == Some(&Value::from("List")) => {
                let items = fields.remove("items").unwrap_or_default();
                objects.extend(items.as_array().cloned().unwrap_or_default());
            }
            object => objects.push(object),
        }
    }
    for object in &objects {
        let has = |field: &str| object[field].is_string();
        if !has("apiVersion") || !has("kind") || !object["metadata"]["name"].is_string() {
            return Err(wrong(
                "an object without apiVersion, kind or name".to_owned(),
            ));
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {n: \"1\"}\n";
        let list = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: \
                    {name: b}}\n";
        let all = objects(&format!("---\n{one}---\n# nothing\n---\n{list}")).unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|o| o["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(all[0]["data"]["n"], "1", "text stays text");
    }

    #[test]
    fn what_is_no_manifest_is_a_mistake_with_a_place() {
        let fault = objects("a: [1\n").unwrap_err();
        assert_eq!(fault.class, FaultClass::Invalid);
        assert!(fault.detail.contains("line "), "{fault}");
        assert!(objects("kind: Pod\n").is_err(), "no name");
    }
}
