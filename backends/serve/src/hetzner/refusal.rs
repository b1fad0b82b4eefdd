//! How Hetzner Cloud says no: `{"error": {"code", "message", "details"}}`.
//!
//! Codes and statuses are those of the API reference, "Errors" and "Operation specific errors".

use crate::wire::Answer;
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    status: u16,
    code: String,
    message: String,
    details: Value,
}

/// What a request comes to.
pub(super) type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            details: Value::Null,
        }
    }

    /// The entity is not there.
    pub(super) fn not_found(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::new(404, "not_found", format!("{kind} with ID '{id}' not found"))
    }

    /// A field of the request is wrong.
    pub(super) fn invalid(field: &str, why: &str) -> Self {
        let message = format!("invalid input in field '{field}': {why}");
        let mut refusal = Self::new(422, "invalid_input", message);
        refusal.details = json!({"fields": [{"name": field, "messages": [why]}]});
        refusal
    }

    /// There is one already.
    pub(super) fn taken(kind: &str, field: &str) -> Self {
        let message = format!("{kind} {field} is already used");
        let mut refusal = Self::new(409, "uniqueness_error", message);
        refusal.details = json!({"fields": [{"name": field}]});
        refusal
    }

    /// The account may have no more.
    pub(super) fn too_many(limit: &str) -> Self {
        let message = format!("{limit} limit exceeded");
        let mut refusal = Self::new(403, "resource_limit_exceeded", message);
        refusal.details = json!({"limits": [{"name": format!("{limit}_limit")}]});
        refusal
    }

    /// Another action is running on it.
    pub(super) fn locked(kind: &str) -> Self {
        Self::new(423, "locked", format!("{kind} is locked"))
    }

    /// It is protected against this.
    pub(super) fn protected(kind: &str) -> Self {
        Self::new(423, "protected", format!("{kind} deletion is protected"))
    }

    /// A failure of the API itself, in the vendor's word for the status.
    pub(super) fn failure(status: u16, code: Option<&str>) -> Self {
        let known = match status {
            400 => "json_error",
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            412 => "resource_unavailable",
            422 => "service_error",
            423 => "locked",
            429 => "rate_limit_exceeded",
            502 => "bad_gateway",
            503 => "unavailable",
            504 => "timeout",
            _ => "server_error",
        };
        Self::new(status, code.unwrap_or(known), "the request failed")
    }

    pub(super) fn answer(self) -> Answer {
        let Self {
            status,
            code,
            message,
            details,
        } = self;
        let body = json!({"error": {"code": code, "message": message, "details": details}});
        Answer::new(status, body)
    }
}
