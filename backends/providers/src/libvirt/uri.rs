//! A provider's `endpoint`: a libvirt URI, with three parameters of our own.
//!
//! Knows nothing of sockets.

use crate::SshAddress;

/// What hypervisor answers, as far as it makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// Containers on the libvirt host itself.
    Lxc,
    /// QEMU, with KVM where there is.
    Qemu,
    /// libvirt's own mock: definitions and states, and nothing behind them.
    Test,
}

/// Where libvirt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// On this host.
    Here,
    /// Behind ssh.
    Ssh {
        /// `user@host` or `host`.
        host: String,
        /// Where sshd listens, where it is not the usual port.
        port: Option<u16>,
    },
}

/// An endpoint, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) driver: Driver,
    pub(super) place: Place,
    /// The URI that libvirt itself is asked to open: no transport, no host, no parameter of ours.
    pub(super) uri: String,
    /// The socket, where the URI names one.
    pub(super) socket: Option<String>,
    /// The user's own daemon and not the system's.
    pub(super) session: bool,
    /// The storage pool of volumes.
    pub(super) pool: String,
    /// Where root file systems of containers are kept.
    pub(super) roots: String,
    /// The `mode` of `<forward>` in networks.
    pub(super) forward: String,
    /// Whether packet filters are made of nwfilter where the connection has it.
    pub(super) filters: bool,
    /// Whether virtual machines are emulated even where the host says that it has KVM: inside some
    /// virtual machines it has one whose guests never get anywhere.
    pub(super) emulated: bool,
}

/// What is wrong with an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadUri(String);

const FORMS: &str = "`lxc:///system`, `qemu:///system`, `qemu+ssh://user@host/system`";

impl Target {
    /// Takes an endpoint apart.
    pub(super) fn parse(endpoint: &str) -> Result<Self, BadUri> {
        let bad = |why: String| {
            Err(BadUri(format!(
                "`{endpoint}`: {why}: write it like {FORMS}"
            )))
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "+:/?&=._-@[]%,~".contains(c);
        if !endpoint.chars().all(plain) {
            return bad("a character that no libvirt URI needs".to_owned());
        }
        let (front, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        let Some((scheme, rest)) = front.split_once("://") else {
            return bad("not a libvirt URI".to_owned());
        };
        let (driver, transport) = match scheme.split_once('+') {
            Some((driver, transport)) => (driver, Some(transport)),
            None => (scheme, None),
        };
        let kind = match driver {
            "lxc" => Driver::Lxc,
            "qemu" => Driver::Qemu,
            "test" => Driver::Test,
            other => return bad(format!("machines are not made with `{other}`")),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let place = match (transport, host) {
            (None | Some("unix"), "") => Place::Here,
            (Some("ssh"), host) if !host.is_empty() => match SshAddress::parse(host) {
                Some(SshAddress { host, port }) => Place::Ssh { host, port },
                None => return bad(format!("`{host}` is not a host")),
            },
            (Some("ssh"), _) => return bad("ssh to which host?".to_owned()),
            (None | Some("unix"), _) => {
                return bad("a host is reached by ssh: `+ssh` after the driver".to_owned());
            }
            (Some(other), _) => {
                return bad(format!(
                    "the transport `{other}` is not one of `unix`, `ssh`"
                ));
            }
        };
        let path = if path.is_empty() { "/" } else { path };
        let mut target = Self {
            driver: kind,
            place,
            uri: String::new(),
            socket: None,
            session: path == "/session",
            pool: "default".to_owned(),
            roots: "/var/lib/quorate/roots".to_owned(),
            forward: "nat".to_owned(),
            filters: true,
            emulated: false,
        };
        let passed = match target.parameters(query) {
            Ok(passed) => passed,
            Err(why) => return bad(why),
        };
        target.uri = format!("{driver}://{path}{passed}");
        Ok(target)
    }
}

impl Target {
    /// Takes our parameters out of a query; what is left goes on to libvirt.
    fn parameters(&mut self, query: &str) -> Result<String, String> {
        let mut passed = String::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (name, value) {
                ("pool", value) if !value.is_empty() => value.clone_into(&mut self.pool),
                ("roots", value) if value.starts_with('/') => value.clone_into(&mut self.roots),
                ("forward", "nat" | "open" | "route" | "isolated") => {
                    value.clone_into(&mut self.forward);
                }
                ("firewall", "nwfilter") => self.filters = true,
                ("firewall", "none") => self.filters = false,
                // QEMU's own names of them.
                ("accel", "kvm") => self.emulated = false,
                ("accel", "tcg") => self.emulated = true,
                ("pool" | "roots" | "forward" | "firewall" | "accel", _) => {
                    return Err(format!("`{value}` is no value of `{name}`"));
                }
                ("socket", value) => self.socket = Some(value.to_owned()),
                _ => {
                    passed.push(if passed.is_empty() { '?' } else { '&' });
                    passed.push_str(pair);
                }
            }
        }
        Ok(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_parameters_are_taken_off_and_libvirt_s_stay() {
        let target = Target::parse(
            "lxc:///system?pool=fast&roots=/srv/q&no_verify=1&forward=open&firewall=none",
        )
        .unwrap();
        assert_eq!(target.uri, "lxc:///system?no_verify=1");
        assert_eq!(target.driver, Driver::Lxc);
        assert_eq!(target.place, Place::Here);
        let ours = [&*target.pool, &target.roots, &target.forward];
        assert_eq!(ours, ["fast", "/srv/q", "open"]);
        assert!(!target.filters);
        let plain = Target::parse("test:///default").unwrap();
        let ours = [&*plain.pool, &plain.roots, &plain.forward];
        assert_eq!(ours, ["default", "/var/lib/quorate/roots", "nat"]);
        assert_eq!(plain.uri, "test:///default");
        assert!(plain.filters && !plain.session);
        assert!(Target::parse("qemu:///session").unwrap().session);
    }

    #[test]
    fn a_host_is_reached_by_ssh_and_opened_as_if_it_were_here() {
        let cases = [
            ("qemu+ssh://root@kvm1:2222/system", "root@kvm1", Some(2222)),
            ("qemu+ssh://kvm1/system", "kvm1", None),
            (
                "qemu+ssh://root@[2001:db8::1]/system",
                "root@2001:db8::1",
                None,
            ),
        ];
        for (endpoint, host, port) in cases {
            let target = Target::parse(endpoint).unwrap();
            let host = host.to_owned();
            assert_eq!(target.place, Place::Ssh { host, port }, "{endpoint}");
            assert_eq!(target.uri, "qemu:///system");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("system", "not a libvirt URI"),
            ("xen:///system", "`xen`"),
            ("qemu://host/system", "`+ssh`"),
            ("qemu+tls://host/system", "`tls`"),
            ("qemu+ssh:///system", "which host"),
            ("qemu+ssh://-oProxyCommand=x/system", "is not a host"),
            ("qemu+ssh://host;id/system", "character"),
            ("lxc:///system?roots=here", "`here` is no value of `roots`"),
            ("lxc:///system?forward=sideways", "`sideways`"),
        ];
        for (endpoint, said) in cases {
            let error = Target::parse(endpoint).unwrap_err().to_string();
            assert!(error.contains(said), "{endpoint}: {error}");
            assert!(error.contains("qemu:///system"), "{error}");
        }
    }
}
