package keys

import (
	"lars.internal/internal/config"
	"lars.internal/internal/debug"
)

// Share lets a set ignore the variables that only other programs of Lars take. One
// file of variables then serves all of them, and a misspelt name is still an error.
func Share(set *config.Set) {
	for _, declare := range []func(*config.Set){
		func(s *config.Set) { DNS(s) },
		func(s *config.Set) { Reporter(s) },
		func(s *config.Set) { Agent(s) },
		func(s *config.Set) { Handover(s) },
		func(s *config.Set) { config.BindStore(s); config.BindLog(s); debug.Bind(s, "") },
	} {
		other := config.NewSet(set.Name())
		declare(other)
		for _, k := range other.Keys() {
			set.KnowAlso(k.Env())
		}
	}
}
