module example.com/pick

go 1.26.0

require lars.internal v0.0.0

require google.golang.org/protobuf v1.36.12 // indirect

replace lars.internal => ../..
