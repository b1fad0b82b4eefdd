//! Syntax of names: DNS labels, and the keys and values of Kubernetes labels.
//!
//! Sources: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>, and
//! RFC 1123, section 2.1.

/// Begins and ends with a letter or digit, and has only these and `also` between.
fn alphanumeric(text: &str, also: &[char]) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || also.contains(&c))
}

/// Why a text is no key of a label, annotation or taint; none if it is one.
pub(super) fn key_error(key: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.len() > 63 || !alphanumeric(name, &['-', '_', '.']) {
        return Some("its name must be 1 to 63 letters, digits, `-`, `_` or `.`");
    }
    let subdomain = |prefix: &str| {
        let label = |part: &str| alphanumeric(part, &['-']) && part.to_ascii_lowercase() == part;
        prefix.len() <= 253 && prefix.split('.').all(label)
    };
    match prefix {
        Some(prefix) if !subdomain(prefix) => {
            Some("the part before `/` must be a DNS name in lower case")
        }
        Some(_) | None => None,
    }
}

/// Whether a text may be the value of a label or a taint.
pub(super) fn is_value(value: &str) -> bool {
    value.is_empty() || (value.len() <= 63 && alphanumeric(value, &['-', '_', '.']))
}

/// The value of a label that is nearest to a text: other characters become `-`.
pub(super) fn as_value(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let chars = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(63);
    let value: String = chars.collect();
    value.trim_matches(['-', '_', '.']).to_owned()
}

/// The DNS label that is nearest to a name: lower case, other characters become `-`.
pub(super) fn as_label(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let lower = name.to_ascii_lowercase();
    let label: String = lower
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    label.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_kubernetes() {
        for key in ["a", "A.b_c-d", "example.com/role", "x.y/Z", &"k".repeat(63)] {
            assert_eq!(key_error(key), None, "{key}");
        }
        for key in [
            "",
            "-a",
            "a-",
            "a b",
            "Example.com/a",
            "a/b/c",
            "/a",
            "a/",
            "x..y/z",
        ] {
            assert!(key_error(key).is_some(), "{key}");
        }
        assert!(key_error(&"k".repeat(64)).is_some());
    }

    #[test]
    fn values_may_be_empty_and_are_mended() {
        assert!(is_value("") && is_value("a_b.c-D") && is_value(&"v".repeat(63)));
        assert!(!is_value("-a") && !is_value("a:b") && !is_value(&"v".repeat(64)));
        assert_eq!(
            as_value("xYz:EU-FRANKFURT-1-AD-1"),
            "xYz-EU-FRANKFURT-1-AD-1"
        );
        assert!(is_value(&as_value("::a b::")));
    }

    #[test]
    fn labels_are_lower_case() {
        for (name, label) in [
            ("Shop", "shop"),
            ("a_b.c", "a-b-c"),
            ("-x-", "x"),
            ("é", ""),
        ] {
            assert_eq!(as_label(name), label);
        }
    }
}
