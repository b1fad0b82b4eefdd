//! Joining, and that splitting gives back what was joined.

use super::*;
use crate::offload::tests::{bytes, sound, tcp};
use crate::offload::{Offload, TCP_FIN, split};
use proptest::prelude::*;

fn batch(packets: &[Vec<u8>]) -> Packets {
    let mut batch = Packets::new(true);
    for packet in packets {
        batch.room(packet.len())[..packet.len()].copy_from_slice(packet);
        batch.commit(packet.len());
    }
    batch
}

/// Each frame: its header, and its bytes in one.
fn frames(batch: &mut Packets) -> Vec<(Vec<u8>, Vec<u8>)> {
    let used = batch.used;
    let frame = |index| {
        let (header, pieces) = batch.frame(index);
        (header.to_vec(), pieces.flatten().copied().collect())
    };
    (0..used).map(frame).collect()
}

/// What the kernel's other end would see.
fn resplit(batch: &mut Packets) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (header, mut frame) in frames(batch) {
        let offload = Offload::read(&header).unwrap();
        split(&mut frame, offload, |packet| packets.push(packet.to_vec())).unwrap();
    }
    packets
}

fn lens(packets: &[Vec<u8>]) -> Vec<usize> {
    let mut batch = batch(packets);
    let frames = frames(&mut batch);
    frames.iter().map(|(_, frame)| frame.len()).collect()
}

/// Segments of one flow from 1 on, with checksums.
fn stream(version: u8, sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut sequence = 1;
    let segment = |size: &usize| {
        let mut packet = tcp(version, sequence, TCP_ACK, &bytes(*size));
        sequence += *size as u32;
        seal(&mut packet);
        packet
    };
    sizes.iter().map(segment).collect()
}

/// Fills the checksums in, by way of a segmentation that yields one segment.
fn seal(packet: &mut Vec<u8>) {
    let start = if packet[0] >> 4 == 4 { 20 } else { 40 };
    if packet.len() == start + 32 {
        return;
    }
    let (protocol, size) = (PROTOCOL_TCP, 2000);
    let mut sealed = Vec::new();
    let offload = Offload::Segments {
        protocol,
        start,
        size,
    };
    split(packet, offload, |segment| sealed = segment.to_vec()).unwrap();
    *packet = sealed;
}

#[test]
fn consecutive_segments_become_one_frame_and_segments_again() {
    for version in [4, 6] {
        let mut sent = stream(version, &[1368, 1368, 1368, 500]);
        let mut batch = batch(&sent);
        assert_eq!(batch.frames(), 1);
        let seen = resplit(&mut batch);
        assert!(seen.iter().all(|packet| sound(packet)));
        if version == 4 {
            // Splitting numbers IPv4's identification anew, which a receiver does not see.
            for (number, packet) in sent.iter_mut().enumerate() {
                put(packet, 4, 0xfffe_u16.wrapping_add(number as u16));
                put(packet, 10, 0);
                let sum = !checksum(&packet[..20], 0);
                put(packet, 10, sum);
            }
        }
        assert_eq!(seen, sent);
    }
}

#[test]
fn two_flows_are_told_apart_and_each_stays_in_order() {
    let one = stream(4, &[1000, 1000]);
    let mut other = stream(4, &[1000, 1000]);
    for packet in &mut other {
        packet[21] ^= 1;
    }
    let mixed = [
        one[0].clone(),
        other[0].clone(),
        one[1].clone(),
        other[1].clone(),
    ];
    assert_eq!(lens(&mixed), [2052, 2052]);
}

#[test]
fn what_one_header_cannot_say_is_not_joined() {
    let change = |what: fn(&mut Vec<u8>)| {
        let mut two = stream(4, &[1000, 1000]);
        what(&mut two[1]);
        lens(&two).len()
    };
    assert_eq!(change(|_| ()), 1);
    type Spoil = fn(&mut Vec<u8>);
    let cases: &[(&str, Spoil)] = &[
        ("type of service", |p| p[1] = 4),
        ("don't fragment", |p| p[6] = 0),
        ("a fragment", |p| p[7] = 1),
        ("time to live", |p| p[8] = 63),
        ("protocol", |p| p[9] = 132),
        ("source", |p| p[15] = 9),
        ("destination", |p| p[19] = 9),
        ("port", |p| p[23] ^= 1),
        ("a gap", |p| p[27] ^= 1),
        ("acknowledgement", |p| p[31] ^= 1),
        ("no acknowledgement", |p| p[33] = 0),
        ("end of stream", |p| p[33] = TCP_ACK | TCP_FIN),
        ("options", |p| p[51] ^= 1),
        ("options of IP", |p| p[0] = 0x46),
        ("a tail behind the packet", |p| p.push(0)),
        ("header beyond the packet", |p| p.truncate(40)),
    ];
    for (what, how) in cases {
        assert_eq!(change(*how), 2, "{what}");
    }
}

#[test]
fn a_short_or_pushed_segment_is_the_last_of_its_frame() {
    assert_eq!(lens(&stream(4, &[1000, 500, 500])), [1552, 552]);
    assert_eq!(lens(&stream(4, &[500, 1000])), [552, 1052]);
    let mut pushed = stream(4, &[1000, 1000, 1000]);
    pushed[1][33] |= TCP_PSH;
    let mut batch = batch(&pushed);
    assert_eq!(batch.frames(), 2);
    // And the frame says so.
    let frames = frames(&mut batch);
    assert_eq!(frames[0].1[33], TCP_ACK | TCP_PSH);
    assert_eq!(frames[1].1[33], TCP_ACK);
}

#[test]
fn a_frame_ends_where_ip_does() {
    assert_eq!(
        lens(&stream(4, &[1400; 48])),
        [52 + 46 * 1400, 52 + 2 * 1400]
    );
    assert_eq!(lens(&stream(6, &[100; 65])), [72 + 64 * 100, 72 + 100]);
}

#[test]
fn a_batch_is_used_again() {
    let mut batch = batch(&stream(4, &[1000, 1000]));
    batch.clear();
    assert_eq!(batch.frames(), 0);
    let other = &stream(6, &[10])[0];
    batch.room(other.len())[..other.len()].copy_from_slice(other);
    batch.commit(other.len());
    assert_eq!(frames(&mut batch), [(vec![0; HEADER_BYTES], other.clone())]);
}

#[test]
fn without_offload_nothing_is_joined() {
    let sent = stream(4, &[1000, 1000]);
    let mut plain = Packets::new(false);
    for packet in &sent {
        plain.room(packet.len())[..packet.len()].copy_from_slice(packet);
        plain.commit(packet.len());
    }
    let seen: Vec<_> = frames(&mut plain)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(seen, sent);
}

proptest! {
    #[test]
    fn nothing_is_lost_or_out_of_order(sizes in prop::collection::vec(0..1400_usize, 1..60)) {
        let sent = stream(6, &sizes);
        let payload = |packets: &[Vec<u8>]| -> Vec<u8> {
            packets.iter().flat_map(|packet| packet[72..].to_vec()).collect()
        };
        let seen = resplit(&mut batch(&sent));
        prop_assert_eq!(payload(&seen), payload(&sent));
        let sizes = |packets: &[Vec<u8>]| -> Vec<usize> {
            packets.iter().map(Vec::len).collect()
        };
        prop_assert_eq!(sizes(&seen), sizes(&sent));
    }

    #[test]
    fn no_bytes_of_a_peer_make_us_panic(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..20),
        first in prop::sample::select(vec![0x45_u8, 0x60, 0x46]),
    ) {
        let shaped: Vec<_> = packets.into_iter().map(|mut packet| {
            let len = packet.len();
            if len > 20 {
                packet[0] = first;
                packet[6] = PROTOCOL_TCP;
                packet[9] = PROTOCOL_TCP;
                put(&mut packet, 2, len as u16);
                put(&mut packet, 4, len.saturating_sub(40) as u16);
            }
            packet
        }).collect();
        let frames = frames(&mut batch(&shaped));
        prop_assert!(frames.len() <= shaped.len());
    }
}
