import { type ComponentType, type ReactNode, useEffect, useState } from "react";
import { PageMissing } from "./PageFailed";

interface LazyPage {
  (): ReactNode;
  preload: () => Promise<void>;
}

/**
 * A page whose code is fetched when it is first shown, or before that by `preload`. Code that does not come costs only this page:
 * what surrounds it stays, and it can be tried again.
 */
export function lazyPage(load: () => Promise<ComponentType>): LazyPage {
  let Loaded: ComponentType | undefined;
  let loading: Promise<void> | undefined;

  function fetchCode(): Promise<void> {
    loading ??= load().then(
      (component) => {
        Loaded = component;
      },
      (error: unknown) => {
        loading = undefined;
        throw error;
      },
    );
    return loading;
  }

  function Page(): ReactNode {
    const [tries, setTries] = useState(0);
    const [failed, setFailed] = useState(false);
    const [, setLoaded] = useState(Loaded !== undefined);
    // biome-ignore lint/correctness/useExhaustiveDependencies: each try fetches anew
    useEffect(() => {
      let gone = false;
      if (!Loaded) {
        fetchCode().then(
          () => gone || setLoaded(true),
          () => gone || setFailed(true),
        );
      }
      return () => {
        gone = true;
      };
    }, [tries]);
    if (Loaded) return <Loaded />;
    if (!failed) return null;
    return (
      <PageMissing
        retry={() => {
          setFailed(false);
          setTries((before) => before + 1);
        }}
      />
    );
  }

  // The router waits for it; that the code did not come is told by the page itself.
  Page.preload = () => (Loaded ? Promise.resolve() : fetchCode().catch(() => undefined));
  return Page;
}
