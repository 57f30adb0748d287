package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A row is something that was measured a number of times.
type row struct {
	what    string
	unit    string // "s", "ms", "MB", "kB", or what is counted
	samples []float64
}

// once is a row of what is not measured but counted.
func once(what, unit string, value float64) row { return row{what, unit, []float64{value}} }

// ratios are the quotients of paired samples: taken one right after the other, on the same machine.
func ratios(what string, of, to []float64) row {
	r := row{what: what, unit: "times"}
	for i := range of {
		r.samples = append(r.samples, of[i]/to[i])
	}
	return r
}

// median needs at least one sample.
func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// write writes the rows as a table in Markdown.
func write(w io.Writer, rows []row) {
	if len(rows) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprint(t, "| What\t| Median\t| Spread\t| Runs\t|\n| ---\t| ---\t| ---\t| ---\t|\n")
	for _, r := range rows {
		spread := ""
		if len(r.samples) > 1 {
			spread = figure(slices.Min(r.samples)) + " to " + figure(slices.Max(r.samples))
		}
		fmt.Fprintf(t, "| %s\t| %s %s\t| %s\t| %d\t|\n", r.what, figure(median(r.samples)), r.unit, spread, len(r.samples))
	}
	t.Flush()
}

// figure writes a number with as many digits as a measurement is worth.
func figure(x float64) string {
	switch {
	case x == float64(int64(x)):
		return fmt.Sprint(int64(x))
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
