//! Delays, faults and handshakes.

use super::*;

fn at(secs: u64) -> Time {
    Time::ZERO + Span::from_secs(secs)
}

fn node(name: &str, provider: &str, region: &str, kind: ProviderKind) -> Endpoint {
    let place = Place {
        provider: provider.to_owned(),
        kind,
        region: region.to_owned(),
        zone: region.to_owned(),
    };
    Endpoint {
        name: name.to_owned(),
        place: Some(place),
        distance: Span::ZERO,
        meshed: true,
        behind_nat: false,
    }
}

fn net() -> Net {
    with(Distances::default())
}

fn with(known: Distances) -> Net {
    let mut net = Net::new(Seed(1), known);
    net.add(node("a", "htz", "fsn1", ProviderKind::Hetzner));
    net.add(node("b", "aws", "eu-central-1", ProviderKind::Aws));
    net.add(node("c", "aws", "us-east-1", ProviderKind::Aws));
    net
}

#[test]
fn distance_is_delay() {
    let mut net = net();
    let near = net.carry(at(0), 0, 1).unwrap();
    let far = net.carry(at(0), 1, 2).unwrap();
    assert!(
        (Span::from_ms(1)..Span::from_ms(15)).contains(&near),
        "{near}"
    );
    assert!(
        (Span::from_ms(35)..Span::from_ms(60)).contains(&far),
        "{far}"
    );
}

#[test]
fn a_measured_distance_is_as_long_as_it_was_measured() {
    let row = "hetzner,fsn1,aws,eu-central-1,64.000,0.200,p50,2026-11-22,measured,measured";
    let text = format!("{}\n{row}\n", catalog::COLUMNS);
    let rows = catalog::read_distances(&text).unwrap();
    let (mut own, mut usual) = (with(Distances::of(&rows)), net());
    assert_eq!(
        own.base_rtt(0, 1),
        Span::from_ms(64),
        "nothing is drawn of it"
    );
    let (least, most) = (Span::from_us(32_000), Span::from_us(32_100));
    assert!((least..=most).contains(&own.carry(at(0), 0, 1).unwrap()));
    assert!(usual.carry(at(0), 0, 1).unwrap() < Span::from_ms(15));
    assert_eq!(
        own.carry(at(0), 1, 2),
        usual.carry(at(0), 1, 2),
        "others stay"
    );
}

#[test]
fn a_cut_in_one_direction_leaves_the_other() {
    let mut net = net();
    let (id, hit) = net.inject(at(0), Effect::Cut, |from, to| {
        from.name == "a" && to.name == "b"
    });
    assert_eq!(hit, 1);
    assert_eq!(net.carry(at(1), 0, 1), None);
    assert!(net.carry(at(1), 1, 0).is_some());
    net.lift(at(2), id);
    assert!(
        net.carry(at(2), 0, 1).is_some(),
        "the session is young: no handshake"
    );
}

#[test]
fn a_long_cut_costs_a_handshake() {
    let mut net = net();
    let (id, _) = net.inject(at(0), Effect::Cut, |_, _| true);
    let usable = net.lift(at(200), id);
    assert!(usable > at(200) && usable < at(206), "{usable}");
    assert_eq!(net.carry(at(200), 0, 1), None);
    assert!(net.carry(usable, 0, 1).is_some() && net.carry(usable, 1, 0).is_some());
}

#[test]
fn a_path_outside_the_mesh_can_be_cut_again_and_again() {
    let mut net = net();
    let mut far = node("far", "elsewhere", "fsn1", ProviderKind::Hetzner);
    (far.meshed, far.place) = (false, None);
    let far = net.add(far);
    for round in 0..3 {
        let (cut, hit) = net.inject(at(round * 1_000), Effect::Cut, |_, to| to.name == "far");
        assert_eq!(hit, usize::from(far), "everybody's path to it");
        assert_eq!(net.carry(at(round * 1_000), 0, far), None);
        let opened = at(round * 1_000 + 600);
        assert_eq!(net.lift(opened, cut), opened, "no handshake comes first");
        assert!(net.carry(opened, 0, far).is_some());
    }
}

#[test]
fn what_was_measured_stands_in_the_place_of_the_catalogue() {
    let mut net = net();
    let (near, far) = (net.base_rtt(0, 1), net.base_rtt(1, 2));
    net.measured(("htz", "aws"), Span::from_us(500));
    assert_eq!(net.base_rtt(0, 1), Span::from_us(500));
    assert_ne!(near, net.base_rtt(0, 1));
    assert_eq!(net.base_rtt(1, 2), far, "another pair");
    net.measured(("aws", "aws"), Span::from_ms(80));
    assert_eq!(net.base_rtt(1, 2), Span::from_ms(80));
    net.add(node("d", "aws", "eu-central-1", ProviderKind::Aws));
    assert_eq!(
        net.base_rtt(0, 3),
        Span::from_us(500),
        "also for new machines"
    );
}

#[test]
fn who_cannot_hear_is_soon_not_heard() {
    let mut net = net();
    let deaf = |from: &Endpoint, to: &Endpoint| from.name == "b" && to.name == "a";
    let (cut, _) = net.inject(at(10), Effect::Cut, deaf);
    assert!(net.carry(at(10), 0, 1).is_some(), "packets pass to b");
    assert!(!net.is_unheard(at(10) + Span::from_ms(150), 0, 1));
    assert!(net.is_unheard(at(10) + Span::from_ms(250), 0, 1));
    assert!(
        !net.is_unheard(at(11), 1, 0),
        "a sends no acknowledgement late"
    );
    net.lift(at(20), cut);
    assert!(!net.is_unheard(at(20), 0, 1));
}

#[test]
fn faults_add_up_and_end_one_by_one() {
    let mut net = net();
    let before = net.base_rtt(0, 1);
    let add = Span::from_ms(40);
    let slow = Effect::Delay {
        add,
        jitter: Span::ZERO,
    };
    let (first, _) = net.inject(at(0), slow, |_, _| true);
    let (second, _) = net.inject(at(0), slow, |from, _| from.name == "a");
    assert_eq!(net.base_rtt(0, 1), before + add.times(3));
    net.lift(at(1), first);
    assert_eq!(net.base_rtt(0, 1), before + add);
    net.lift(at(1), second);
    assert_eq!(net.base_rtt(0, 1), before);
}

#[test]
fn loss_is_delay_for_a_connection() {
    let mut net = net();
    net.inject(at(0), Effect::Loss { permille: 500 }, |_, _| true);
    let slow = (0..1_000)
        .filter_map(|_| net.carry(at(0), 0, 1))
        .filter(|d| *d > RTO_MIN)
        .count();
    assert!(
        (400..600).contains(&slow),
        "{slow} of 1000 packets were sent again"
    );
}

#[test]
fn a_new_endpoint_leaves_the_luck_of_others_alone() {
    let (mut small, mut large) = (net(), net());
    large.add(node("d", "gcp", "europe-west3", ProviderKind::Gcp));
    let draws = |net: &mut Net| (0..50).map(|_| net.carry(at(0), 0, 1)).collect::<Vec<_>>();
    assert_eq!(draws(&mut small), draws(&mut large));
}
