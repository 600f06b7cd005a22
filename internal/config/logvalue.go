package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
)

// readable gives the values of a line the form in which people and both handlers
// write them: a service is 1/2 and a time is 50ms, where package json would write an
// object and a number of nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		a.Value = slog.AnyValue(readableAny(a.Value.Any()))
	}
	return a
}

func readableAny(v any) any {
	switch v := v.(type) {
	case error, encoding.TextMarshaler, json.Marshaler:
		return v
	case fmt.Stringer:
		return v.String()
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		return v
	}
	texts := make([]any, list.Len())
	for i := range texts {
		texts[i] = readableAny(list.Index(i).Interface())
	}
	return texts
}
