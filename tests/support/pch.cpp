// The source that the precompiled headers of the unit tests are made with; it is empty.
