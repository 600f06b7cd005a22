package config

import "strings"

// suggest returns what to write in place of an unknown name: the known name
// that was probably meant, else all of them.
func suggest(name string, known []string) string {
	best, bestCost := "", len(name)/3+2
	for _, k := range known {
		if cost := distance(strings.ToLower(name), strings.ToLower(k)); cost < bestCost {
			best, bestCost = k, cost
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "want one of " + strings.Join(known, ", ")
}

// distance is the number of bytes to insert, delete or replace to get from a to
// b (Levenshtein), in a single row.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
