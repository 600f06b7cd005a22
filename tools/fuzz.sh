#!/bin/sh
# Runs every fuzz target of the module for the time given, one after the other:
# fuzz.sh 10s
set -eu

duration=${1:?usage: fuzz.sh DURATION}

go list ./... | while read -r package; do
	go test -list '^Fuzz' "$package" | grep '^Fuzz' | while read -r target; do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package"
	done
done
