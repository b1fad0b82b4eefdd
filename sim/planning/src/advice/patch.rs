//! JSON Patch (RFC 6902), as far as manifests need it: add, replace and remove.

use quorate_engine::manifest::Manifest;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// A field that was not there, or an element at the end of a list (`/-`).
    Add {
        /// A JSON Pointer (RFC 6901).
        path: String,
        /// What stands there then.
        value: Value,
    },
    /// A field that was there.
    Replace {
        /// A JSON Pointer.
        path: String,
        /// What stands there then.
        value: Value,
    },
    /// A field or an element that goes.
    Remove {
        /// A JSON Pointer.
        path: String,
    },
}

/// The manifest after these operations, one after the other. None: one of them does not fit, or
/// what comes out is no manifest.
#[must_use]
pub fn apply(manifest: &Manifest, patch: &[Operation]) -> Option<Manifest> {
    let mut value = serde_json::to_value(manifest).expect("a manifest is plain data");
    for operation in patch {
        carry_out(&mut value, operation)?;
    }
    serde_json::from_value(value).ok()
}

fn carry_out(root: &mut Value, operation: &Operation) -> Option<()> {
    let path = match operation {
        Operation::Add { path, .. } | Operation::Replace { path, .. } => path,
        Operation::Remove { path } => path,
    };
    let (parent, last) = path.rsplit_once('/')?;
    let parent = root.pointer_mut(parent)?;
    match (parent, operation) {
        (Value::Object(fields), Operation::Add { value, .. }) => {
            fields.insert(last.to_owned(), value.clone());
        }
        (Value::Object(fields), Operation::Replace { value, .. }) => {
            *fields.get_mut(last)? = value.clone();
        }
        (Value::Object(fields), Operation::Remove { .. }) => {
            fields.remove(last)?;
        }
        (Value::Array(items), Operation::Add { value, .. }) if last == "-" => {
            items.push(value.clone());
        }
        (Value::Array(items), Operation::Replace { value, .. }) => {
            *items.get_mut(last.parse::<usize>().ok()?)? = value.clone();
        }
        (Value::Array(items), Operation::Remove { .. }) => {
            let at = last.parse::<usize>().ok().filter(|at| *at < items.len())?;
            items.remove(at);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after(operations: &[Operation]) -> Option<Value> {
        let mut value = json!({"a": [1, 2], "b": {"c": 3}});
        for operation in operations {
            carry_out(&mut value, operation)?;
        }
        Some(value)
    }

    #[test]
    fn operations_do_what_the_rfc_says() {
        let add = |path: &str, value| Operation::Add {
            path: path.to_owned(),
            value,
        };
        let replace = |path: &str, value| Operation::Replace {
            path: path.to_owned(),
            value,
        };
        let remove = |path: &str| Operation::Remove {
            path: path.to_owned(),
        };
        let cases = [
            (
                add("/a/-", json!(9)),
                Some(json!({"a": [1, 2, 9], "b": {"c": 3}})),
            ),
            (
                add("/b/d", json!(4)),
                Some(json!({"a": [1, 2], "b": {"c": 3, "d": 4}})),
            ),
            (
                replace("/a/1", json!(7)),
                Some(json!({"a": [1, 7], "b": {"c": 3}})),
            ),
            (remove("/a/0"), Some(json!({"a": [2], "b": {"c": 3}}))),
            (remove("/b/c"), Some(json!({"a": [1, 2], "b": {}}))),
            (replace("/b/x", json!(1)), None),
            (remove("/a/2"), None),
            (replace("/x/y", json!(1)), None),
        ];
        for (operation, expected) in cases {
            assert_eq!(
                after(std::slice::from_ref(&operation)),
                expected,
                "{operation:?}"
            );
        }
    }
}
