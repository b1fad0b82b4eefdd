//! Where ssh is to go, out of a URI: `user@host:port`.
//!
//! Split here, because OpenSSH's client takes a host of IPv6 without the brackets that a URI has
//! around it, and refuses brackets in either of its own forms (9.2).

/// Arguments of ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    /// `host` or `user@host`.
    pub host: String,
    /// Where sshd listens, where it is not the usual port.
    pub port: Option<u16>,
}

impl SshAddress {
    /// Takes the part of a URI between its scheme and its path; none if it is no such part.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (user, host) = match text.split_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, text),
        };
        let (host, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':')?),
                };
                (host, port)
            }
            None => match host.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            },
        };
        let port = port.map(str::parse).transpose().ok()?;
        // A name that begins with a hyphen would be an option of ssh.
        let sane = |part: &str, more: &str| {
            let plain =
                |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c);
            !part.is_empty() && !part.starts_with('-') && part.chars().all(plain)
        };
        let whole = sane(host, ":%") && user.is_none_or(|user| sane(user, ""));
        let host = user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
        whole.then_some(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::SshAddress;

    #[test]
    fn addresses_are_what_ssh_takes() {
        for (text, host, port) in [
            ("kvm1", "kvm1", None),
            (
                "root@kvm1.example.com:2222",
                "root@kvm1.example.com",
                Some(2222),
            ),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("root@[fe80::1%eth0]:2222", "root@fe80::1%eth0", Some(2222)),
        ] {
            let host = host.to_owned();
            assert_eq!(
                SshAddress::parse(text),
                Some(SshAddress { host, port }),
                "{text}"
            );
        }
        for bad in [
            "",
            "@kvm1",
            "root@",
            "a@b@c",
            "-oProxyCommand=x",
            "root@-x",
            "kvm1:",
            "kvm1:x",
            "[::1",
            "[::1]22",
            "::1",
            "kvm1;id",
        ] {
            assert_eq!(SshAddress::parse(bad), None, "{bad}");
        }
    }
}
