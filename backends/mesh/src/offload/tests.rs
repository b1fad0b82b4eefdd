//! Segments of large packets, and their checksums, by a second way of summing.

use super::*;

/// RFC 1071, as it is written there: 16-bit words, carries folded at the end.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// Whether all checksums of a packet are right.
pub(crate) fn sound(packet: &[u8]) -> bool {
    let (start, addresses, protocol) = match packet[0] >> 4 {
        4 => (usize::from(packet[0] & 15) * 4, 12..20, packet[9]),
        _ => (40, 8..40, packet[6]),
    };
    let len = u16::try_from(packet.len() - start).unwrap().to_be_bytes();
    let transport = [&packet[addresses], &[0, protocol], &len, &packet[start..]];
    let network = packet[0] >> 4 == 6 || sum(&[&packet[..start]]) == 0xffff;
    network && sum(&transport) == 0xffff
}

/// A TCP packet with payload `payload`, without checksums.
pub(crate) fn tcp(version: u8, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ip(version, PROTOCOL_TCP, 32 + payload.len());
    packet.extend([0x30, 0x39, 0x1f, 0x90]);
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 77, 0x80, flags, 1, 0, 0, 0, 0, 0]);
    // Time stamps, as every Linux sends them.
    packet.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    packet.extend(payload);
    packet
}

fn ip(version: u8, protocol: u8, len: usize) -> Vec<u8> {
    if version == 4 {
        let total = (20 + len) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0]);
        packet.extend([10, 88, 0, 1, 10, 88, 0, 2]);
        return packet;
    }
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((len as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet
}

fn udp(version: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ip(version, PROTOCOL_UDP, 8 + payload.len());
    packet.extend([0x30, 0x39, 0, 53]);
    packet.extend((8 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn start(version: u8) -> usize {
    if version == 4 { 20 } else { 40 }
}

fn cut(mut packet: Vec<u8>, offload: Offload) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    split(&mut packet, offload, |segment| {
        segments.push(segment.to_vec())
    })
    .unwrap();
    segments
}

#[test]
fn a_large_tcp_packet_becomes_segments_that_are_sound() {
    let payload = bytes(10_000);
    for version in [4, 6] {
        let flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR;
        let packet = tcp(version, u32::MAX - 2000, flags, &payload);
        let (protocol, start, size) = (PROTOCOL_TCP, start(version), 1368);
        let segments = cut(
            packet,
            Offload::Segments {
                protocol,
                start,
                size,
            },
        );
        assert_eq!(segments.len(), 8);
        let mut gathered: Vec<u8> = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            assert!(sound(segment), "segment {index} of IPv{version}");
            let tcp = &segment[start..];
            let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
            assert_eq!(
                sequence,
                (u32::MAX - 2000).wrapping_add(1368 * index as u32)
            );
            let last = index == 7;
            let first = if index == 0 { TCP_CWR } else { 0 };
            let end = if last { TCP_PSH | TCP_FIN } else { 0 };
            assert_eq!(tcp[TCP_FLAGS], TCP_ACK | first | end, "segment {index}");
            if version == 4 {
                // 0xfffe on: the identification counts on and wraps around.
                let id = u16::from_be_bytes([segment[4], segment[5]]);
                assert_eq!(id, 0xfffe_u16.wrapping_add(index as u16));
            }
            gathered.extend(&tcp[32..]);
        }
        assert_eq!(gathered, payload);
    }
}

#[test]
fn a_large_udp_packet_becomes_datagrams_that_are_sound() {
    let payload = bytes(3000);
    for version in [4, 6] {
        let (protocol, start, size) = (PROTOCOL_UDP, start(version), 1200);
        let offload = Offload::Segments {
            protocol,
            start,
            size,
        };
        let segments = cut(udp(version, &payload), offload);
        let lens: Vec<_> = segments
            .iter()
            .map(|segment| segment.len() - start)
            .collect();
        assert_eq!(lens, [1208, 1208, 608]);
        assert!(segments.iter().all(|segment| sound(segment)));
        let gathered: Vec<u8> = segments
            .iter()
            .flat_map(|s| s[start + 8..].to_vec())
            .collect();
        assert_eq!(gathered, payload);
    }
}

#[test]
fn a_missing_checksum_is_made() {
    for version in [4, 6] {
        for (mut packet, offset) in [
            (tcp(version, 1, TCP_ACK, &bytes(101)), TCP_CHECKSUM),
            (udp(version, &bytes(100)), UDP_CHECKSUM),
        ] {
            let start = start(version);
            let addresses = if version == 4 { 12..20 } else { 8..40 };
            let protocol = if offset == TCP_CHECKSUM {
                PROTOCOL_TCP
            } else {
                PROTOCOL_UDP
            };
            let pseudo = pseudo_header(&packet[addresses], protocol, (packet.len() - start) as u16);
            put(&mut packet, start + offset, pseudo as u16);
            if version == 4 {
                let sum = !sum(&[&packet[..20]]);
                put(&mut packet, 10, sum);
            }
            assert!(!sound(&packet));
            let whole = cut(packet, Offload::Checksum { start, offset });
            assert!(sound(&whole[0]), "IPv{version}, {protocol}");
        }
    }
}

#[test]
fn nothing_to_do_leaves_a_packet_as_it_is() {
    let packet = udp(4, b"hello");
    assert_eq!(cut(packet.clone(), Offload::None), [packet]);
}

#[test]
fn headers_of_the_kernel_are_read() {
    let header = |flags, gso_type, gso_size| {
        let header = VirtioNetHdr {
            flags,
            gso_type,
            gso_size,
            csum_start: 20,
            csum_offset: 16,
            ..VirtioNetHdr::default()
        };
        let mut bytes = [0; HEADER_BYTES];
        header.encode(&mut bytes).unwrap();
        Offload::read(&bytes)
    };
    let segments = |protocol| {
        let (start, size) = (20, 1368);
        Ok(Offload::Segments {
            protocol,
            start,
            size,
        })
    };
    let (start, offset) = (20, 16);
    let cases = [
        (header(0, GSO_NONE, 0), Ok(Offload::None)),
        (
            header(1, GSO_NONE, 0),
            Ok(Offload::Checksum { start, offset }),
        ),
        (header(1, GSO_TCP4, 1368), segments(PROTOCOL_TCP)),
        (header(1, GSO_TCP6 | GSO_ECN, 1368), segments(PROTOCOL_TCP)),
        (header(1, GSO_UDP, 1368), segments(PROTOCOL_UDP)),
        (
            header(1, GSO_TCP4, 0),
            Err(Malformed("segments without a size")),
        ),
        (
            header(1, 3, 1368),
            Err(Malformed("segments of an unknown protocol")),
        ),
        (Offload::read(&[0; 9]), Err(Malformed("header is short"))),
    ];
    for (read, expected) in cases {
        assert_eq!(read, expected);
    }
}

#[test]
fn a_packet_that_contradicts_its_header_is_refused_whole() {
    let good = tcp(4, 1, TCP_ACK, &bytes(3000));
    let mut short_header = good.clone();
    short_header[32] = 0x10;
    let mut long_header = good[..48].to_vec();
    long_header[32] = 0xf0;
    let segments = |start| {
        let (protocol, size) = (PROTOCOL_TCP, 1000);
        Offload::Segments {
            protocol,
            start,
            size,
        }
    };
    let huge = {
        let (protocol, start, size) = (PROTOCOL_TCP, 20, 65_535);
        Offload::Segments {
            protocol,
            start,
            size,
        }
    };
    let cases = [
        (vec![], segments(20)),
        (vec![0x15; 60], segments(20)),
        (good[..39].to_vec(), segments(20)),
        (good.clone(), segments(19)),
        (good.clone(), segments(2990)),
        (short_header, segments(20)),
        (long_header, segments(20)),
        (good.clone(), huge),
        (good[..52].to_vec(), segments(20)),
        (
            good.clone(),
            Offload::Checksum {
                start: 3040,
                offset: 16,
            },
        ),
    ];
    for (number, (mut packet, offload)) in cases.into_iter().enumerate() {
        let mut handed = 0;
        let refused = split(&mut packet, offload, |_| handed += 1);
        assert!(refused.is_err(), "case {number}");
        assert_eq!(handed, 0, "case {number}");
    }
}
