//! Volumes of virtual machines: a disk over a cloud image, and the seed.

use super::doing;
use super::fault::disk;
use super::record::{shelf, slot};
use super::session::{Named, Session, Volume};
use super::uri::Place;
use super::xml::{Element, element};
use crate::Site;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use std::fs::File;
use std::io::Read as _;

/// A disk has at least this many bytes. It takes up only what is written to it.
const DISK: u64 = 20 << 30;

const DISK_END: &str = ".qcow2";
const SEED_END: &str = "-seed.img";

/// Names of a machine's volumes: its disk and its seed.
pub(super) fn names(site: &Site, id: &ResourceId) -> (String, String) {
    names_on(&shelf(&site.owner, &site.provider.name), id)
}

fn names_on(shelf: &str, id: &ResourceId) -> (String, String) {
    let stem = format!("{shelf}-{}", slot(id));
    (format!("{stem}{DISK_END}"), format!("{stem}{SEED_END}"))
}

/// The slot of the machine that a volume on this shelf is for.
pub(super) fn slot_of<'a>(shelf: &str, name: &'a str) -> Option<&'a str> {
    let rest = name.strip_prefix(shelf)?.strip_prefix('-')?;
    rest.strip_suffix(DISK_END)
        .or_else(|| rest.strip_suffix(SEED_END))
}

/// A cloud image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    path: String,
    format: String,
    /// Bytes of the disk that it is.
    size: u64,
}

/// Finds an image: a volume of the pool by its name, any pool's volume by its path, or a file on
/// this host.
pub(super) async fn image(
    session: &Session,
    pool: &Named,
    (name, place): (&str, &Place),
) -> Result<Image, Fault> {
    let said = format!("looking for the image {name}");
    let found = match name.starts_with('/') {
        true => session.volume_at(name).await,
        false => session.volume(pool, name).await,
    };
    if let Some(volume) = found.map_err(doing(&said))? {
        let xml = session.volume_xml(&volume).await.map_err(doing(&said))?;
        let read = Element::parse(&xml).and_then(|xml| of_volume(&xml));
        return read.ok_or_else(|| Fault::new(FaultClass::Invalid, format!("{said}: {xml}")));
    }
    if name.starts_with('/') && *place == Place::Here {
        return of_file(name).map_err(|error| disk(&said, &error));
    }
    let said = format!(
        "there is no image {name} in the pool {}: upload it there, or name a file",
        pool.name
    );
    Err(Fault::new(FaultClass::Invalid, said))
}

fn of_volume(xml: &Element) -> Option<Image> {
    let target = xml.at("target")?;
    Some(Image {
        path: target.at("path")?.text.clone(),
        format: target.at("format")?.get("type")?.to_owned(),
        size: xml.at("capacity")?.text.parse().ok()?,
    })
}

/// A qcow2 file begins with `QFI\xfb` and has its disk's size at offset 24; anything else is the
/// disk itself. Source: QEMU's `docs/interop/qcow2.txt`.
fn of_file(path: &str) -> std::io::Result<Image> {
    let mut head = Vec::with_capacity(32);
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    file.take(32).read_to_end(&mut head)?;
    let qcow2 = head.len() == 32 && head.starts_with(b"QFI\xfb");
    let (format, size) = match qcow2 {
        true => {
            let size = head[24..].try_into().expect("eight bytes");
            ("qcow2", u64::from_be_bytes(size))
        }
        false => ("raw", length),
    };
    Ok(Image {
        path: path.to_owned(),
        format: format.to_owned(),
        size,
    })
}

fn disk_document(name: &str, image: &Image) -> String {
    let format = |kind: &str| element("format").with("type", kind);
    element("volume")
        .hold([
            element("name").say(name),
            element("capacity")
                .with("unit", "bytes")
                .say(image.size.max(DISK)),
            element("allocation").say(0),
            element("target").hold([format("qcow2")]),
            element("backingStore").hold([element("path").say(&image.path), format(&image.format)]),
        ])
        .write()
}

fn seed_document(name: &str, size: usize) -> String {
    element("volume")
        .hold([
            element("name").say(name),
            element("capacity").with("unit", "bytes").say(size),
            element("target").hold([element("format").with("type", "raw")]),
        ])
        .write()
}

/// Makes both volumes anew.
pub(super) async fn make(
    session: &Session,
    pool: &Named,
    (disk, seed): (&str, &str),
    image: &Image,
    content: &[u8],
) -> Result<(), Fault> {
    remove(session, pool, (disk, seed)).await?;
    let said = format!("making the volume {disk}");
    let made = session
        .create_volume(pool, &disk_document(disk, image))
        .await;
    made.map_err(doing(&said))?;
    let said = format!("making the volume {seed}");
    let made = session
        .create_volume(pool, &seed_document(seed, content.len()))
        .await;
    let made = made.map_err(doing(&said))?;
    session.upload(&made, content).await.map_err(doing(&said))
}

/// Removes what there is of both. The pool looks at its disk first: a file that a crash left there
/// is a volume only then.
pub(super) async fn remove(
    session: &Session,
    pool: &Named,
    (disk, seed): (&str, &str),
) -> Result<(), Fault> {
    let refreshed = session.refresh_pool(pool).await;
    refreshed.map_err(doing(&format!("reading the pool {}", pool.name)))?;
    for name in [disk, seed] {
        let said = format!("deleting the volume {name}");
        let found: Option<Volume> = session.volume(pool, name).await.map_err(doing(&said))?;
        if let Some(volume) = found {
            session.delete_volume(&volume).await.map_err(doing(&said))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;

    #[test]
    fn a_volume_says_whose_it_is() {
        let owner = Owner {
            cluster: "shop".to_owned(),
            uid: 7,
        };
        let own = shelf(&owner, "a");
        let (disk, seed) = names_on(&own, &ResourceId::new("shop/w/1"));
        for name in [&disk, &seed] {
            assert_eq!(slot_of(&own, name), Some("shop_w_1"), "{name}");
        }
        let neighbour = shelf(&owner, "a-b");
        let other = Owner { uid: 8, ..owner };
        for foreign in [neighbour, shelf(&other, "a")] {
            assert_eq!(slot_of(&foreign, &disk), None);
            assert_eq!(slot_of(&foreign, "debian.qcow2"), None);
        }
    }

    #[test]
    fn an_image_is_what_its_head_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut head = b"QFI\xfb\0\0\0\x03".to_vec();
        head.resize(24, 0);
        head.extend((30_u64 << 30).to_be_bytes());
        std::fs::write(path("a"), &head).unwrap();
        std::fs::write(path("b"), [0; 512]).unwrap();
        let (a, b) = (of_file(&path("a")).unwrap(), of_file(&path("b")).unwrap());
        assert_eq!((a.format.as_str(), a.size), ("qcow2", 30 << 30));
        assert_eq!((b.format.as_str(), b.size), ("raw", 512));
        let capacity = |image: &Image| {
            let document = Element::parse(&disk_document("d", image)).unwrap();
            document.at("capacity").unwrap().text.clone()
        };
        assert_eq!(
            capacity(&a),
            (30_u64 << 30).to_string(),
            "never smaller than its image"
        );
        assert_eq!(capacity(&b), DISK.to_string());
        assert!(of_file(&path("none")).is_err());
    }
}
