//! Who is answered, and who is not.

use super::*;

fn limiter(per_second: u32, slip: u32) -> Limiter {
    Limiter::new(RateLimit { per_second, slip }, 7)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Of so many queries at one instant: answered, slipped, not answered.
fn burst(limiter: &mut Limiter, now: Time, from: IpAddr, queries: u32) -> (u32, u32, u32) {
    let mut counts = (0, 0, 0);
    for _ in 0..queries {
        match limiter.judge(now, from) {
            Allowance::Answer => counts.0 += 1,
            Allowance::Slip => counts.1 += 1,
            Allowance::Silence => counts.2 += 1,
        }
    }
    counts
}

#[test]
fn a_burst_of_one_second_is_answered_and_then_the_rate() {
    let (mut limiter, from) = (limiter(10, 2), address("192.0.2.1"));
    assert_eq!(burst(&mut limiter, Time(1), from, 30), (10, 10, 10));
    let later = Time(1) + Span::from_ms(300);
    assert_eq!(burst(&mut limiter, later, from, 13), (3, 5, 5));
    let much_later = later + Span::from_secs(60);
    assert_eq!(burst(&mut limiter, much_later, from, 10), (10, 0, 0));
}

#[test]
fn a_network_is_one_and_others_are_others() {
    let mut limiter = limiter(5, 0);
    let flood = address("192.0.2.1");
    assert_eq!(burst(&mut limiter, Time(1), flood, 9), (5, 0, 4));
    let cases = [
        ("192.0.2.200", 0),
        ("::ffff:192.0.2.9", 0),
        ("192.0.3.1", 5),
        ("2001:db8::1", 5),
        ("2001:db8:0:1f::1", 0),
        ("2001:db8:0:100::1", 5),
    ];
    for (text, answered) in cases {
        let counts = burst(&mut limiter, Time(1), address(text), 6);
        assert_eq!(counts.0, answered, "{text}");
    }
}

#[test]
fn off_is_off() {
    let counts = burst(&mut limiter(0, 2), Time(1), address("192.0.2.1"), 10_000);
    assert_eq!(counts, (10_000, 0, 0));
}

#[test]
fn a_full_table_still_limits_and_still_answers() {
    let mut limiter = limiter(2, 0);
    let mut answered = 0;
    for n in 0..300_000u32 {
        let from = IpAddr::V4((n << 8 | 1).into());
        answered += burst(&mut limiter, Time(1), from, 1).0;
    }
    // Four times as many networks as buckets, and every bucket answers twice at one instant.
    assert!((100_000..=131_072).contains(&answered), "{answered}");
    let later = Time(1) + Span::from_secs(2);
    assert_eq!(
        burst(&mut limiter, later, address("10.1.1.1"), 5),
        (2, 0, 3)
    );
}
