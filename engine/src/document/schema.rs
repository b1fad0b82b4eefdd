//! JSON Schemas from types: for editors, and for our own structure check.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (2020-12) of a type, for editors. `id` is its own address.
#[must_use]
pub fn schema<T: JsonSchema>(id: &str, title: &str) -> Value {
    let mut schema = of::<T>();
    let fields = schema
        .as_object_mut()
        .expect("a document is a struct, and its schema an object");
    fields.shift_remove("title");
    let mut out = serde_json::Map::new();
    if let Some(dialect) = fields.shift_remove("$schema") {
        out.insert("$schema".to_owned(), dialect);
    }
    out.insert("$id".to_owned(), id.into());
    out.insert("title".to_owned(), title.into());
    out.append(fields);
    Value::Object(out)
}

pub(super) fn of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// The parts of a schema that the check looks at.
pub(super) trait Schema {
    /// A keyword's value.
    fn keyword(&self, name: &str) -> Option<&Value>;

    /// The text of a keyword.
    fn word(&self, name: &str) -> Option<&str> {
        self.keyword(name)?.as_str()
    }

    /// The elements of a keyword that lists schemas or values; none if it is absent.
    fn list(&self, name: &str) -> &[Value] {
        match self.keyword(name) {
            Some(Value::Array(items)) => items,
            _ => &[],
        }
    }

    /// The types it allows by name; empty means any.
    fn types(&self) -> Vec<&str> {
        match self.keyword("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The texts it lists, by `const` or `enum`.
    fn words(&self) -> Vec<&str> {
        let all = self.keyword("const").into_iter().chain(self.list("enum"));
        all.filter_map(Value::as_str).collect()
    }
}

impl Schema for Value {
    fn keyword(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}
