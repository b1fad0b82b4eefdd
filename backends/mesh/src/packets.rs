//! Packets on their way to the TUN interface, TCP segments of one flow joined into large ones.
//!
//! The counterpart of segmentation, generic receive offload: consecutive segments of a flow are
//! handed to the kernel as one packet, in one system call. Payloads stay where they were decrypted:
//! a *frame* is a list of pieces. Segments are joined only where splitting
//! gives them back, but for the window they announce and IPv4's identification.
//!
//! Transport checksums are not verified before joining: the tag of WireGuard's encryption has
//! proven every byte to be what the peer's kernel sent, which is the argument by which Linux's own
//! WireGuard marks checksums as correct (`drivers/net/wireguard/receive.c`).
//! Knows neither the interface nor peers.

use crate::offload::{
    GSO_TCP4, GSO_TCP6, HEADER_BYTES, NEEDS_CHECKSUM, PROTOCOL_TCP, TCP_ACK, TCP_CHECKSUM,
    TCP_FLAGS, TCP_PSH, pseudo_header, put,
};
use std::ops::Range;
use tun_rs::{VirtioNetHdr, checksum};

/// Pieces of one frame at most. With the usual 1,420 bytes of MTU 48 fill the largest packet.
pub const FRAME_PIECES: usize = 64;
/// Frames of one flow are looked for among this many newest ones.
const NEWEST: usize = 16;

/// What decides whether a segment may follow another one.
#[derive(Clone, Copy)]
struct Segment {
    start: usize,
    headers: usize,
    payload: usize,
    sequence: u32,
    push: bool,
    /// It can be one of many. What cannot still keeps its place among its flow's.
    joins: bool,
}

struct Frame {
    pieces: Vec<Range<usize>>,
    len: usize,
    /// The first and, as far as it can grow, what is expected next.
    flow: Option<Flow>,
}

#[derive(Clone, Copy)]
struct Flow {
    first: Segment,
    next_sequence: u32,
    /// A short or pushed segment was the last one.
    closed: bool,
}

/// Packets in the order they are to be written. Its memory is kept from batch to batch.
pub struct Packets {
    join: bool,
    bytes: Vec<u8>,
    len: usize,
    frames: Vec<Frame>,
    used: usize,
}

impl Packets {
    /// An empty batch; with `join`, segments are joined, for an interface that takes large ones.
    #[must_use]
    pub fn new(join: bool) -> Self {
        Self {
            join,
            bytes: Vec::new(),
            len: 0,
            frames: Vec::new(),
            used: 0,
        }
    }

    /// At least `len` bytes to write the next packet to.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.len + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.len..]
    }

    /// The first `len` bytes of the room are a packet.
    pub(crate) fn commit(&mut self, len: usize) {
        assert!(self.len + len <= self.bytes.len(), "a packet is in room");
        let place = self.len..self.len + len;
        self.len = place.end;
        let segment = self.join.then(|| segment(&self.bytes[place.clone()]));
        let Some(segment) = segment.flatten() else {
            return self.begin(place, None);
        };
        let at = place.start;
        match self.frame_of(at, segment) {
            Some(index) if self.follows(index, at, segment) => self.append(index, at, segment),
            Some(_) | None => {
                let flow = Flow {
                    first: segment,
                    next_sequence: segment.sequence.wrapping_add(segment.payload as u32),
                    closed: segment.push || !segment.joins,
                };
                self.begin(place, Some(flow));
            }
        }
    }

    fn begin(&mut self, place: Range<usize>, flow: Option<Flow>) {
        if self.used == self.frames.len() {
            self.frames.push(Frame {
                pieces: Vec::with_capacity(FRAME_PIECES),
                len: 0,
                flow: None,
            });
        }
        let frame = &mut self.frames[self.used];
        frame.pieces.clear();
        frame.len = place.len();
        frame.pieces.push(place);
        frame.flow = flow;
        self.used += 1;
    }

    /// The newest frame of the segment's flow: only behind that one can it be in order.
    fn frame_of(&self, at: usize, segment: Segment) -> Option<usize> {
        let oldest = self.used.saturating_sub(NEWEST);
        let mut newest = (oldest..self.used).rev();
        newest.find(|index| {
            let first = self.frames[*index].pieces[0].start;
            let known = self.frames[*index].flow.is_some();
            known && same_flow(&self.bytes[first..], &self.bytes[at..], segment.start)
        })
    }

    fn follows(&self, index: usize, at: usize, segment: Segment) -> bool {
        let frame = &self.frames[index];
        let Some(flow) = frame.flow else {
            return false;
        };
        let first = frame.pieces[0].start;
        !flow.closed
            && segment.joins
            && segment.sequence == flow.next_sequence
            && segment.headers == flow.first.headers
            && segment.payload <= flow.first.payload
            && frame.pieces.len() < FRAME_PIECES
            && frame.len + segment.payload <= usize::from(u16::MAX)
            && same_headers(&self.bytes[first..], &self.bytes[at..], segment)
    }

    fn append(&mut self, index: usize, at: usize, segment: Segment) {
        let frame = &mut self.frames[index];
        let payload = at + segment.headers..at + segment.headers + segment.payload;
        frame.len += payload.len();
        frame.pieces.push(payload);
        let flow = frame.flow.as_mut().expect("appended to a flow");
        flow.next_sequence = segment.sequence.wrapping_add(segment.payload as u32);
        flow.closed = segment.push || segment.payload < flow.first.payload;
        if segment.push {
            let first = frame.pieces[0].start;
            self.bytes[first + flow.first.start + TCP_FLAGS] |= TCP_PSH;
        }
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.used
    }

    /// Makes one frame ready: the header of its interface, and its pieces in order.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn frame(&mut self, index: usize) -> ([u8; HEADER_BYTES], impl Iterator<Item = &[u8]>) {
        assert!(index < self.used, "frame {index} of {}", self.used);
        let frame = &self.frames[index];
        let mut header = [0; HEADER_BYTES];
        if let Some(flow) = frame.flow.filter(|_| frame.pieces.len() > 1) {
            let first = &mut self.bytes[frame.pieces[0].clone()];
            let joined = join_headers(first, flow.first, frame.len);
            joined.encode(&mut header).expect("a header's room");
        }
        let bytes = &self.bytes;
        let pieces = self.frames[index].pieces.iter();
        (header, pieces.map(|piece| &bytes[piece.clone()]))
    }

    /// All of it was written.
    pub fn clear(&mut self) {
        self.len = 0;
        self.used = 0;
    }
}

/// The headers of the first segment become those of the whole.
fn join_headers(first: &mut [u8], segment: Segment, len: usize) -> VirtioNetHdr {
    let Segment { start, headers, .. } = segment;
    let transport_len = (len - start) as u16;
    let (gso_type, addresses) = if first[0] >> 4 == 4 {
        put(first, 2, len as u16);
        put(first, 10, 0);
        let sum = !checksum(&first[..start], 0);
        put(first, 10, sum);
        (GSO_TCP4, 12..20)
    } else {
        put(first, 4, transport_len);
        (GSO_TCP6, 8..40)
    };
    let pseudo = pseudo_header(&first[addresses], PROTOCOL_TCP, transport_len);
    put(first, start + TCP_CHECKSUM, checksum(&[], pseudo));
    VirtioNetHdr {
        flags: NEEDS_CHECKSUM,
        gso_type,
        hdr_len: headers as u16,
        gso_size: segment.payload as u16,
        csum_start: start as u16,
        csum_offset: TCP_CHECKSUM as u16,
    }
}

/// What of a packet is a TCP segment: no options or extensions of IP, no fragment. It joins others
/// if it has a payload, and no flag but ACK and PSH.
fn segment(packet: &[u8]) -> Option<Segment> {
    let version = packet.first()? >> 4;
    let (start, len) = match version {
        4 if packet.len() >= 40 && packet[0] == 0x45 => {
            // More fragments, or an offset.
            let fragment = packet[6] & 0x3f != 0 || packet[7] != 0;
            let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            (packet[9] == PROTOCOL_TCP && !fragment).then_some((20, len))?
        }
        6 if packet.len() >= 60 => {
            let len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            (packet[6] == PROTOCOL_TCP).then_some((40, len + 40))?
        }
        _ => return None,
    };
    let transport = &packet[start..];
    let headers = start + usize::from(transport[12] >> 4) * 4;
    let flags = transport[TCP_FLAGS];
    if len != packet.len() || headers < start + 20 || headers > len {
        return None;
    }
    Some(Segment {
        start,
        headers,
        payload: len - headers,
        sequence: u32::from_be_bytes(transport[4..8].try_into().expect("four bytes")),
        push: flags & TCP_PSH != 0,
        joins: headers < len && flags & !TCP_PSH == TCP_ACK,
    })
}

/// Addresses and ports agree.
fn same_flow(a: &[u8], b: &[u8], start: usize) -> bool {
    let addresses = if start == 20 { 12..20 } else { 8..40 };
    let ports = start..start + 4;
    a[0] >> 4 == b[0] >> 4 && a[addresses.clone()] == b[addresses] && a[ports.clone()] == b[ports]
}

/// Everything agrees that one header has to say for all.
fn same_headers(a: &[u8], b: &[u8], segment: Segment) -> bool {
    let Segment { start, headers, .. } = segment;
    let network = if start == 20 {
        // Type of service, fragment flags, time to live.
        a[1] == b[1] && a[6] == b[6] && a[8] == b[8]
    } else {
        // Traffic class and flow label, hop limit.
        a[..4] == b[..4] && a[7] == b[7]
    };
    // Acknowledgement, and options behind the fixed header.
    let acknowledged = start + 8..start + 12;
    let options = start + 20..headers;
    network && a[acknowledged.clone()] == b[acknowledged] && a[options.clone()] == b[options]
}

#[cfg(test)]
mod tests;
