//! MD5 (RFC 1321), for fingerprints of keys as the vendor shows them. Not for anything that has to
//! be safe.

/// Shifts of the four rounds (RFC 1321, section 3.4).
const SHIFTS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

/// The digest of a text.
pub(super) fn digest(text: &[u8]) -> [u8; 16] {
    let mut padded = text.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((text.len() as u64 * 8).to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        let words = block.chunks_exact(4).map(|four| {
            let four = four.try_into().expect("chunks of four");
            u32::from_le_bytes(four)
        });
        let words: Vec<u32> = words.collect();
        let before = state;
        for step in 0..64 {
            state = turn(state, &words, step);
        }
        for (now, before) in state.iter_mut().zip(before) {
            *now = now.wrapping_add(before);
        }
    }
    let mut digest = [0; 16];
    for (four, word) in digest.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

fn turn([a, b, c, d]: [u32; 4], words: &[u32], step: usize) -> [u32; 4] {
    let (mixed, word) = match step / 16 {
        0 => ((b & c) | (!b & d), step),
        1 => ((b & d) | (c & !d), 5 * step + 1),
        2 => (b ^ c ^ d, 3 * step + 5),
        _ => (c ^ (b | !d), 7 * step),
    };
    // The integer part of 2^32 times the sine of the step's number in radians.
    let sine = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
    let sum = a
        .wrapping_add(mixed)
        .wrapping_add(words[word % 16])
        .wrapping_add(sine);
    let turned = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
    [d, turned, b, c]
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn vectors_of_the_rfc() {
        let vectors = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ];
        for (text, wanted) in vectors {
            let hex: String = digest(text.as_bytes())
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(hex, wanted, "{text}");
        }
    }
}
