// Some start an application, which takes a second here and ten on a machine that does something else besides.
jest.setTimeout(30_000);
