//! Segmentation: what the kernel hands over as one large packet becomes packets of the wire's size.
//!
//! A TUN interface with offload puts a `virtio_net_hdr` (virtio specification 1.2, section 5.1.6)
//! before each packet: this packet still needs its checksum, or stands for many segments. The
//! segments are made in place, each header written over the end of the payload before it, which
//! has been used by then: nothing is copied but headers. Knows no interface and no encryption.

use tun_rs::{VIRTIO_NET_HDR_LEN, VirtioNetHdr, checksum};

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the checksum field holds the pseudo header's sum only.
pub(crate) const NEEDS_CHECKSUM: u8 = 1;
const GSO_NONE: u8 = 0;
pub(crate) const GSO_TCP4: u8 = 1;
pub(crate) const GSO_TCP6: u8 = 4;
const GSO_UDP: u8 = 5;
/// `VIRTIO_NET_HDR_GSO_ECN` may stand beside a TCP type.
const GSO_ECN: u8 = 0x80;
/// Bytes before each packet on an interface with offload.
pub const HEADER_BYTES: usize = VIRTIO_NET_HDR_LEN;

pub(crate) const PROTOCOL_TCP: u8 = 6;
pub(crate) const PROTOCOL_UDP: u8 = 17;
pub(crate) const TCP_FIN: u8 = 0x01;
pub(crate) const TCP_PSH: u8 = 0x08;
pub(crate) const TCP_ACK: u8 = 0x10;
const TCP_CWR: u8 = 0x80;
pub(crate) const TCP_FLAGS: usize = 13;
pub(crate) const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
/// The longest headers: IPv4 with options, or IPv6 with a few extensions, and TCP with options.
const HEADERS_MAX: usize = 256;

/// A packet of the kernel whose headers contradict themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet's offload header does not fit the packet: {0}")]
pub struct Malformed(&'static str);

/// What is left to be done to a packet before it can go on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// Nothing.
    None,
    /// Sum from `start` to the end, and put the result `offset` bytes behind `start`.
    Checksum {
        /// Where the transport header begins.
        start: usize,
        /// Where its checksum is.
        offset: usize,
    },
    /// Cut the payload into segments, each with the headers.
    Segments {
        /// `PROTOCOL_TCP` or `PROTOCOL_UDP`.
        protocol: u8,
        /// Where the transport header begins.
        start: usize,
        /// Payload bytes of each segment but the last.
        size: usize,
    },
}

impl Offload {
    /// Reads the header that stands before a packet, [`HEADER_BYTES`] long.
    ///
    /// # Errors
    /// If it is short, or asks for what an interface was never told we can do.
    pub fn read(header: &[u8]) -> Result<Self, Malformed> {
        let header = VirtioNetHdr::decode(header).map_err(|_| Malformed("header is short"))?;
        let start = usize::from(header.csum_start);
        let protocol = match header.gso_type & !GSO_ECN {
            GSO_NONE if header.flags & NEEDS_CHECKSUM == 0 => return Ok(Self::None),
            GSO_NONE => {
                let offset = usize::from(header.csum_offset);
                return Ok(Self::Checksum { start, offset });
            }
            GSO_TCP4 | GSO_TCP6 => PROTOCOL_TCP,
            GSO_UDP => PROTOCOL_UDP,
            _ => return Err(Malformed("segments of an unknown protocol")),
        };
        let size = usize::from(header.gso_size);
        if size == 0 {
            return Err(Malformed("segments without a size"));
        }
        Ok(Self::Segments {
            protocol,
            start,
            size,
        })
    }
}

/// Does what is left to do, and hands every packet that comes of it to `each`, in order. The
/// packet's bytes are used up.
///
/// # Errors
/// If the packet is not what its header says. Nothing was handed over then.
pub fn split(
    packet: &mut [u8],
    offload: Offload,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    match offload {
        Offload::None => each(packet),
        Offload::Checksum { start, offset } => {
            finish_checksum(packet, start, offset)?;
            each(packet);
        }
        Offload::Segments {
            protocol,
            start,
            size,
        } => {
            let cut = Cut::new(packet, protocol, start, size)?;
            for index in 0..cut.count {
                each(cut.segment(packet, index));
            }
        }
    }
    Ok(())
}

fn finish_checksum(packet: &mut [u8], start: usize, offset: usize) -> Result<(), Malformed> {
    let at = start + offset;
    if at + 2 > packet.len() {
        return Err(Malformed("checksum lies behind the end"));
    }
    // What the field holds, the pseudo header's sum, is summed with everything else.
    let mut sum = !checksum(&packet[start..], 0);
    if sum == 0 && offset == UDP_CHECKSUM {
        // RFC 768: zero would mean that there is none.
        sum = u16::MAX;
    }
    put(packet, at, sum);
    Ok(())
}

struct Cut {
    headers: [u8; HEADERS_MAX],
    headers_len: usize,
    protocol: u8,
    start: usize,
    size: usize,
    count: usize,
    end: usize,
}

impl Cut {
    fn new(packet: &[u8], protocol: u8, start: usize, size: usize) -> Result<Self, Malformed> {
        let least = match packet.first().map(|byte| byte >> 4) {
            Some(4) => 20,
            Some(6) => 40,
            _ => return Err(Malformed("neither IPv4 nor IPv6")),
        };
        let transport_min = if protocol == PROTOCOL_TCP { 20 } else { 8 };
        if start < least || packet.len() < start + transport_min {
            return Err(Malformed("headers are cut off"));
        }
        // The header's own `hdr_len` is the first segment's length for forwarded packets.
        let transport_len = match protocol {
            PROTOCOL_TCP => usize::from(packet[start + 12] >> 4) * 4,
            _ => transport_min,
        };
        let headers_len = start + transport_len;
        let fits = transport_len >= transport_min
            && headers_len < packet.len()
            && headers_len <= HEADERS_MAX
            && headers_len + size <= usize::from(u16::MAX);
        if !fits {
            return Err(Malformed("headers or segments of an impossible length"));
        }
        let mut headers = [0; HEADERS_MAX];
        headers[..headers_len].copy_from_slice(&packet[..headers_len]);
        Ok(Self {
            headers,
            headers_len,
            protocol,
            start,
            size,
            count: (packet.len() - headers_len).div_ceil(size),
            end: packet.len(),
        })
    }

    /// Writes the headers of one segment in front of its payload.
    fn segment<'a>(&self, packet: &'a mut [u8], index: usize) -> &'a [u8] {
        let from = index * self.size;
        let to = self.end.min(from + self.headers_len + self.size);
        let segment = &mut packet[from..to];
        segment[..self.headers_len].copy_from_slice(&self.headers[..self.headers_len]);
        let len = segment.len();
        let transport_len = (len - self.start) as u16;
        let addresses = if segment[0] >> 4 == 4 {
            let id = u16::from_be_bytes([segment[4], segment[5]]);
            put(segment, 2, len as u16);
            put(segment, 4, id.wrapping_add(index as u16));
            put(segment, 10, 0);
            let sum = !checksum(&segment[..self.start], 0);
            put(segment, 10, sum);
            12..20
        } else {
            put(segment, 4, (len - 40) as u16);
            8..40
        };
        let field = self.start + self.transport(segment, index, transport_len, to == self.end);
        put(segment, field, 0);
        let pseudo = pseudo_header(&segment[addresses], self.protocol, transport_len);
        let mut sum = !checksum(&segment[self.start..], pseudo);
        if sum == 0 && self.protocol == PROTOCOL_UDP {
            sum = u16::MAX;
        }
        put(segment, field, sum);
        segment
    }

    /// What differs from segment to segment in the transport header; where its checksum is.
    fn transport(&self, segment: &mut [u8], index: usize, len: u16, last: bool) -> usize {
        let start = self.start;
        if self.protocol == PROTOCOL_UDP {
            put(segment, start + 4, len);
            return UDP_CHECKSUM;
        }
        let field = start + 4..start + 8;
        let first: [u8; 4] = segment[field.clone()].try_into().expect("four bytes");
        let sequence = u32::from_be_bytes(first).wrapping_add((index * self.size) as u32);
        segment[field].copy_from_slice(&sequence.to_be_bytes());
        if index > 0 {
            // RFC 3168: the sender says once that it reduced its window.
            segment[start + TCP_FLAGS] &= !TCP_CWR;
        }
        if !last {
            segment[start + TCP_FLAGS] &= !(TCP_FIN | TCP_PSH);
        }
        TCP_CHECKSUM
    }
}

/// The sum over the pseudo header: source and destination, protocol, length of what follows.
pub(crate) fn pseudo_header(addresses: &[u8], protocol: u8, len: u16) -> u64 {
    let rest = u64::from(protocol) + u64::from(len);
    u64::from(checksum(addresses, rest))
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
pub(crate) mod tests;
