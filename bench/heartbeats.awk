# Turns runs (simulator nodes simulated_s wall_s heartbeats acks) into the table of
# bench/heartbeats and, where `json` names a file, into JSON. Takes the run with the median
# ratio of each cell; of an even number, the lower of the two in the middle.

{
    cell = $1 SUBSEP $2
    n = ++count[cell]
    ratio[cell, n] = $3 / $4
    row[cell, n] = $0
    if (!($2 in seen)) { seen[$2] = 1; sizes[++size_count] = $2 }
}

function median(cell,    n, i, j, swap, order) {
    n = count[cell]
    for (i = 1; i <= n; i++) order[i] = i
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && ratio[cell, order[j]] < ratio[cell, order[j - 1]]; j--) {
            swap = order[j]; order[j] = order[j - 1]; order[j - 1] = swap
        }
    return order[int((n + 1) / 2)]
}

# Three significant digits, without an exponent, thousands set apart.
function number(x,    text, whole, out, decimals, size) {
    decimals = 2
    for (size = x; size < 1 && decimals < 8; size *= 10) decimals++
    if (x >= 100) decimals = 0; else if (x >= 10) decimals = 1
    text = sprintf("%.*f", decimals, x)
    whole = text; sub(/\..*/, "", whole)
    text = substr(text, length(whole) + 1)
    while (length(whole) > 3) {
        out = "," substr(whole, length(whole) - 2) out
        whole = substr(whole, 1, length(whole) - 3)
    }
    return whole out text
}

END {
    split("quorate madsim turmoil", names, " ")
    form = "%6s  %-9s %14s %9s %12s %11s %14s %6s\n"
    printf form, "nodes", "simulator", "simulated s", "wall s", "messages", \
        "ratio", "quorate is", "runs"
    for (s = 1; s <= size_count; s++) for (i = 1; i <= 3; i++) {
        cell = names[i] SUBSEP sizes[s]
        m = median(cell)
        split(row[cell, m], field, " ")
        r = ratio[cell, m]
        if (i == 1) ours = r
        printf form, field[2], field[1], number(field[3]), number(field[4]), \
            number(field[5] + field[6]), number(r), \
            i == 1 ? "-" : number(ours / r) " x", count[cell]
        objects = objects sprintf("%s  {\"nodes\": %d, \"simulator\": \"%s\", " \
            "\"simulated_s\": %s, \"wall_s\": %s, \"heartbeats\": %d, \"acks\": %d, \"ratio\": %.9g, " \
            "\"quorate_quotient\": %.9g, \"runs\": %d}", objects == "" ? "" : ",\n", field[2], \
            field[1], field[3], field[4], field[5], field[6], r, ours / r, count[cell])
    }
    if (json != "") {
        printf "[\n%s\n]\n", objects > json
        if (close(json) != 0) exit 1
    }
}
