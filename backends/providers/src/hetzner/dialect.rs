//! How Hetzner Cloud refuses, pages and limits.
//!
//! Source of the codes: the vendor's OpenAPI document and `error.go` of its Go client.

use super::wire::ErrorBody;
use crate::http::{Dialect, Meaning, Query, Rate, Told};
use quorate_engine::exec::LaneLimit;
use quorate_engine::seam::FaultClass;
use quorate_engine::time::Span;
use serde_json::Value;

pub(super) const DIALECT: Dialect = Dialect {
    vendor: "Hetzner Cloud",
    token_fix: TOKEN_FIX,
    refusal,
    meaning,
    next_page,
};

pub(super) const TOKEN_FIX: &str = "make a token with read and write permission in the project \
    (Security, API tokens), and give it in HCLOUD_TOKEN or by the provider's `credentials`";

const UNPROTECT: &str = "it is protected from deletion: take the protection off it \
    (hcloud <server|network> disable-protection <name> delete), and run again";

fn refusal(body: &Value) -> Option<Told> {
    let error: ErrorBody = serde_json::from_value(body.get("error")?.clone()).ok()?;
    Some(told(error))
}

pub(super) fn told(error: ErrorBody) -> Told {
    Told {
        code: error.code,
        message: error.message,
    }
}

/// What a code means, whatever its status. Codes that are not listed are left to the status.
pub(super) fn meaning(code: &str) -> Option<Meaning> {
    use FaultClass::{Auth, Busy, Capacity, Exists, Invalid, NotFound, Quota, Retryable};
    let class = match code {
        "rate_limit_exceeded" => return Some(Meaning::Throttled),
        "timeout" | "bad_gateway" | "service_error" | "server_error" | "unknown_error" => {
            return Some(Meaning::Broken);
        }
        "protected" => return Some(Meaning::Fix(Invalid, UNPROTECT)),
        "unauthorized" | "forbidden" | "token_readonly" => Auth,
        "resource_limit_exceeded" => Quota,
        "resource_unavailable" | "placement_error" => Capacity,
        "ip_not_available" | "no_space_left_in_location" => Capacity,
        "uniqueness_error" => Exists,
        "locked" | "resource_locked" | "conflict" | "resource_in_use" => Busy,
        "maintenance" | "unavailable" | "robot_unavailable" | "host_not_reachable" => Retryable,
        "not_found" | "firewall_resource_not_found" => NotFound,
        "invalid_input" | "json_error" | "invalid_server_type" | "unsupported_error" => Invalid,
        "networks_overlap" | "no_subnet_available" | "deprecated_api_endpoint" => Invalid,
        _ => return None,
    };
    Some(Meaning::Class(class))
}

/// A page names the next one, until there is none.
fn next_page(body: &Value) -> Option<Query> {
    let next = body.pointer("/meta/pagination/next_page")?.as_u64()?;
    Some(vec![("page".to_owned(), next.to_string())])
}

/// Requests of one call on the average: most look a thing up by its name and then touch it;
/// making a server takes five, asking whether it runs takes one.
const REQUESTS_PER_CALL: u32 = 2;

/// Until something just made is surely found by its name and labels: the engine's own default.
const SETTLE: Span = Span::from_secs(10);

/// 3600 requests an hour and project, one earned each second, unless the API says otherwise.
pub(super) fn limit(rate: Option<Rate>) -> LaneLimit {
    let (limit, remaining) = rate.map_or((3_600, 3_600), |rate| (rate.limit, rate.remaining));
    let hour = Span::from_secs(3_600);
    let requests = u64::from(limit.max(1));
    LaneLimit {
        in_flight: 10,
        // A quarter of what is left: other programs may use the same project.
        burst: (remaining / 4 / REQUESTS_PER_CALL).clamp(1, 100),
        refill: Span(hour.0 / requests).times(u64::from(REQUESTS_PER_CALL)),
        settle: SETTLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_code_has_its_class_reading_and_changing() {
        use FaultClass::*;
        let table = [
            ("unauthorized", Auth, Auth),
            ("forbidden", Auth, Auth),
            ("token_readonly", Auth, Auth),
            ("resource_limit_exceeded", Quota, Quota),
            ("resource_unavailable", Capacity, Capacity),
            ("placement_error", Capacity, Capacity),
            ("no_space_left_in_location", Capacity, Capacity),
            ("uniqueness_error", Exists, Exists),
            ("locked", Busy, Busy),
            ("conflict", Busy, Busy),
            ("resource_in_use", Busy, Busy),
            ("rate_limit_exceeded", Retryable, Retryable),
            ("maintenance", Retryable, Retryable),
            ("unavailable", Retryable, Retryable),
            ("invalid_input", Invalid, Invalid),
            ("json_error", Invalid, Invalid),
            ("protected", Invalid, Invalid),
            ("no_subnet_available", Invalid, Invalid),
            ("not_found", NotFound, NotFound),
            ("timeout", Retryable, Unknown),
            ("bad_gateway", Retryable, Unknown),
            ("service_error", Retryable, Unknown),
        ];
        for (code, reading, changing) in table {
            let meaning = meaning(code).unwrap_or_else(|| panic!("{code} is known"));
            assert_eq!(meaning.class(false), reading, "{code}, reading");
            assert_eq!(meaning.class(true), changing, "{code}, changing");
        }
        assert_eq!(meaning("something_new"), None);
    }

    #[test]
    fn refusals_and_pages_are_read() {
        let body = json!({"error": {"code": "locked", "message": "is locked", "details": null}});
        let told = refusal(&body).unwrap();
        assert_eq!(told.to_string(), "is locked (locked)");
        assert_eq!(refusal(&json!({"servers": []})), None);
        let page = |next: Value| json!({"meta": {"pagination": {"page": 1, "next_page": next}}});
        let expected = vec![("page".to_owned(), "2".to_owned())];
        assert_eq!(next_page(&page(json!(2))), Some(expected));
        assert_eq!(next_page(&page(Value::Null)), None);
        assert_eq!(next_page(&json!({"servers": []})), None);
    }

    #[test]
    fn the_lane_is_as_wide_as_what_is_left() {
        let full = limit(None);
        assert_eq!((full.burst, full.refill), (100, Span::from_secs(2)));
        let rate = |limit, remaining| Rate {
            limit,
            remaining,
            full_in_s: 60,
        };
        assert_eq!(limit(Some(rate(3_600, 80))).burst, 10);
        let empty = limit(Some(rate(7_200, 0)));
        assert_eq!((empty.burst, empty.refill), (1, Span::from_secs(1)));
        assert_eq!(limit(Some(rate(0, 0))).burst, 1);
    }
}
