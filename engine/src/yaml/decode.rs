//! A serde deserializer over the tree: what a type refuses has a place.

use super::{Core, Entry, Node, Value, mistake, shown};
use crate::diagnostic::{Diagnostic, Span, nearest};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Decodes a node.
///
/// # Errors
/// The first thing that the type refuses, at the innermost node concerned.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, Box<Diagnostic>> {
    T::deserialize(Decoder(node)).map_err(|refusal| {
        let span = refusal.span.unwrap_or_else(|| node.head());
        let fix = refusal
            .fix
            .as_deref()
            .unwrap_or("change the value as the message says");
        let mut message = String::new();
        for c in refusal.message.chars() {
            if c.is_control() {
                message.extend(c.escape_default());
            } else {
                message.push(c);
            }
        }
        Box::new(mistake("value", span, message, fix))
    })
}

#[derive(Debug)]
struct Refusal {
    message: String,
    fix: Option<String>,
    span: Option<Span>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self {
            message: message.to_string(),
            fix: None,
            span: None,
        }
    }

    /// A word that is no variant: by far the most frequent refusal that no schema foresees, as
    /// schemars does not describe the keys of maps.
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let list: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
        let list = list.join(", ");
        let near = nearest(variant, expected.iter().copied());
        Self {
            message: format!("{} is none of {list}", shown(variant)),
            fix: Some(near.map_or(format!("write one of {list}"), |n| format!("write `{n}`"))),
            span: None,
        }
    }
}

/// Gives a refusal its place, unless one further in has one already.
fn at<T>(span: Span, result: Result<T, Refusal>) -> Result<T, Refusal> {
    result.map_err(|refusal| Refusal {
        span: refusal.span.or(Some(span)),
        ..refusal
    })
}

#[derive(Clone, Copy)]
struct Decoder<'n>(&'n Node);

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let result = match &self.0.value {
            Value::Scalar { text, style } => match Core::of(text, *style) {
                Core::Null => visitor.visit_unit(),
                Core::Bool(value) => visitor.visit_bool(value),
                Core::Integer(value) => match (u64::try_from(value), i64::try_from(value)) {
                    (Ok(value), _) => visitor.visit_u64(value),
                    (Err(_), Ok(value)) => visitor.visit_i64(value),
                    (Err(_), Err(_)) => visitor.visit_i128(value),
                },
                Core::Float(value) => visitor.visit_f64(value),
                Core::Text(value) => visitor.visit_str(value),
            },
            Value::Sequence(items) => visitor.visit_seq(Items(items)),
            Value::Mapping(entries) => visitor.visit_map(Fields {
                entries,
                value: None,
            }),
        };
        at(self.0.head(), result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.0.core() == Some(Core::Null) {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        at(self.0.head(), visitor.visit_newtype_struct(self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let result = match &self.0.value {
            Value::Scalar { text, .. } => visitor.visit_enum(Variant {
                name: text,
                value: None,
            }),
            Value::Mapping(entries) if entries.len() == 1 => visitor.visit_enum(Variant {
                name: &entries[0].key,
                value: Some(&entries[0].value),
            }),
            Value::Mapping(_) | Value::Sequence(_) => Err(de::Error::custom(
                "exactly one of the possible fields is expected here",
            )),
        };
        at(self.0.head(), result)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'n>(&'n [Node]);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let Some((first, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        self.0 = rest;
        at(first.head(), seed.deserialize(Decoder(first))).map(Some)
    }
}

struct Fields<'n> {
    entries: &'n [Entry],
    value: Option<&'n Entry>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let Some((first, rest)) = self.entries.split_first() else {
            return Ok(None);
        };
        (self.entries, self.value) = (rest, Some(first));
        let key: StrDeserializer<'_, Refusal> = first.key.as_str().into_deserializer();
        at(first.key_span, seed.deserialize(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let entry = self
            .value
            .take()
            .expect("serde asks for a value after its key");
        at(entry.head(), seed.deserialize(Decoder(&entry.value)))
    }
}

struct Variant<'n> {
    name: &'n str,
    value: Option<&'n Node>,
}

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = Refusal;
    type Variant = Content<'n>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content<'n>), Refusal> {
        let name: StrDeserializer<'_, Refusal> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.value)))
    }
}

struct Content<'n>(Option<&'n Node>);

impl<'n> Content<'n> {
    fn node(&self) -> Result<Decoder<'n>, Refusal> {
        let missing = || de::Error::custom("a value is expected after this name");
        self.0.map(Decoder).ok_or_else(missing)
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        match self.0 {
            None => Ok(()),
            Some(node) if node.core() == Some(Core::Null) => Ok(()),
            Some(_) => Err(de::Error::custom("no value is expected after this name")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(self.node()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        de::Deserializer::deserialize_any(self.node()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        de::Deserializer::deserialize_any(self.node()?, visitor)
    }
}
