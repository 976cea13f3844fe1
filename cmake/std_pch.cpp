// The source that the precompiled header of the standard library is made with; it is empty.
