//! SSH keys.

use super::fields::Fields;
use super::refusal::{Outcome, Refusal};
use super::stock::SshKey;
use super::{Hetzner, Moment, labels, listing, md5};
use crate::wire::Answer;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The fingerprint of a line of `authorized_keys`: MD5 of the key, in pairs of digits.
fn fingerprint(line: &str) -> Option<String> {
    let (kind, rest) = line.trim().split_once(' ')?;
    let key = BASE64_STANDARD.decode(rest.split(' ').next()?).ok()?;
    // It begins with its own kind, after the length of that.
    let named = key.get(4..4 + kind.len()) == Some(kind.as_bytes());
    let known = ["ssh-ed25519", "ssh-rsa"].contains(&kind) || kind.starts_with("ecdsa-sha2-");
    let pairs = md5::digest(&key).map(|byte| format!("{byte:02x}"));
    (named && known).then(|| pairs.join(":"))
}

impl Hetzner {
    pub(super) fn list_keys(&self, moment: &Moment<'_>) -> Outcome<Answer> {
        let all = self.stock.keys.values();
        let all = all.map(|it| (&it.base, self.show_key(it)));
        let all = self.listed(moment, "ssh_keys", all);
        listing::answer(moment.request, "ssh_keys", &["name", "fingerprint"], all)
    }

    fn key(&self, id: u64) -> Outcome<&SshKey> {
        let found = self.stock.keys.get(&id);
        found.ok_or_else(|| Refusal::not_found("ssh_key", id))
    }

    pub(super) fn get_key(&self, id: u64) -> Outcome<Answer> {
        let shown = self.show_key(self.key(id)?);
        Ok(Answer::new(200, json!({"ssh_key": shown})))
    }

    pub(super) fn create_key(&mut self, moment: &mut Moment<'_>) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let name = fields.name(128)?;
        let line = fields.text("public_key")?.trim().to_owned();
        let Some(fingerprint) = fingerprint(&line) else {
            return fields.wrong("public_key", "is not an SSH public key");
        };
        let labels = labels::read(&fields)?.unwrap_or_default();
        let all = self.stock.keys.values().map(|it| &it.base);
        self.unused(all, &name, "SSH key", None)?;
        if self
            .stock
            .keys
            .values()
            .any(|it| it.fingerprint == fingerprint)
        {
            return Err(Refusal::taken("SSH key", "public_key"));
        }
        let base = self.base(moment, "ssh_key", name, labels);
        let key = SshKey {
            base,
            line,
            fingerprint,
        };
        let shown = self.show_key(&key);
        self.stock.keys.insert(key.base.id, key);
        Ok(Answer::new(201, json!({"ssh_key": shown})))
    }

    pub(super) fn update_key(&mut self, moment: &Moment<'_>, id: u64) -> Outcome<Answer> {
        let fields = Fields::read(&moment.request.body)?;
        let (name, labels) = Self::renamed(&fields, &self.key(id)?.base)?;
        let all = self.stock.keys.values().map(|it| &it.base);
        self.unused(all, &name, "SSH key", Some(id))?;
        let base = &mut self.stock.keys.get_mut(&id).expect("it was found").base;
        (base.name, base.labels) = (name, labels);
        self.get_key(id)
    }

    pub(super) fn delete_key(&mut self, moment: &mut Moment<'_>, id: u64) -> Outcome<Answer> {
        let key = self.key(id)?;
        let (name, shown) = (key.base.name.clone(), self.show_key(key));
        self.stock.keys.remove(&id);
        self.haunt(moment, ("ssh_key", "ssh_keys"), &name, shown);
        Ok(Answer::nothing())
    }

    fn show_key(&self, key: &SshKey) -> Value {
        json!({
            "id": key.base.id,
            "name": key.base.name,
            "labels": key.base.labels,
            "created": self.calendar.stamp(key.base.made),
            "public_key": key.line,
            "fingerprint": key.fingerprint,
        })
    }
}
