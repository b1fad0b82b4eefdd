//! Where a machine is reached and who logs in.

use quorate_engine::resource::ResourceId;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Where a machine is reached over ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Address, name, or an alias of the user's own ssh configuration.
    pub address: String,
    /// TCP port; none: as the user's ssh configuration has it, else 22.
    pub port: Option<u16>,
    /// Who logs in; everybody but root needs sudo without a password. None: as the user's ssh
    /// configuration has it, else the name of the user here.
    pub user: Option<String>,
    /// What opens the door.
    pub key: Key,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.address)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// What opens the door.
#[derive(Clone, PartialEq, Eq)]
pub enum Key {
    /// The user's agent, hardware keys and configured files: whatever `ssh` itself finds.
    Agent,
    /// This file; one with a passphrase has to be in the agent.
    File(PathBuf),
    /// The text of a private key. It lies in a file of ours for as long as a connection is made.
    Text(String),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("Agent"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

/// Knows where machines are reached.
pub trait Machines: Send + Sync {
    /// Where a machine is reached, with the public addresses that came with the call; none where
    /// that is not known.
    fn reach(&self, machine: &ResourceId, addresses: &[(ResourceId, Ipv4Addr)]) -> Option<Reach>;
}

impl<F> Machines for F
where
    F: Fn(&ResourceId, &[(ResourceId, Ipv4Addr)]) -> Option<Reach> + Send + Sync,
{
    fn reach(&self, machine: &ResourceId, addresses: &[(ResourceId, Ipv4Addr)]) -> Option<Reach> {
        self(machine, addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show() {
        let reach = Reach {
            address: "192.0.2.1".to_owned(),
            port: Some(2222),
            user: Some("admin".to_owned()),
            key: Key::Text("-----BEGIN".to_owned()),
        };
        assert!(!format!("{reach:?}").contains("BEGIN"));
        assert_eq!(reach.to_string(), "admin@192.0.2.1:2222");
    }
}
