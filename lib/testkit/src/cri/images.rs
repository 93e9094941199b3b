//! The image service.

use super::Service;
use proto::cri::image_service_server::ImageService;
use proto::cri::{self, Image};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ImageService for Service {
    async fn list_images(&self, _: Request<cri::ListImagesRequest>) -> Answer<cri::ListImagesResponse> {
        let images = self.state.lock().images.iter().map(|n| image(n)).collect();
        Ok(Response::new(cri::ListImagesResponse { images }))
    }

    async fn image_status(&self, request: Request<cri::ImageStatusRequest>) -> Answer<cri::ImageStatusResponse> {
        let name = name(request.into_inner().image);
        let image = self.state.lock().images.iter().find(|i| **i == name || id(i) == name).map(|n| image(n));
        Ok(Response::new(cri::ImageStatusResponse { image, ..Default::default() }))
    }

    async fn pull_image(&self, request: Request<cri::PullImageRequest>) -> Answer<cri::PullImageResponse> {
        let name = name(request.into_inner().image);
        let mut state = self.state.lock();
        state.calls.push(("PullImage", name.clone()));
        if !state.registry.contains(&name) {
            return Err(Status::not_found(format!("failed to pull and unpack image \"{name}\": not found")));
        }
        state.images.insert(name.clone());
        Ok(Response::new(cri::PullImageResponse { image_ref: id(&name) }))
    }

    async fn remove_image(&self, request: Request<cri::RemoveImageRequest>) -> Answer<cri::RemoveImageResponse> {
        let name = name(request.into_inner().image);
        self.state.lock().images.retain(|i| *i != name && id(i) != name);
        Ok(Response::new(cri::RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<cri::ImageFsInfoRequest>) -> Answer<cri::ImageFsInfoResponse> {
        Ok(Response::new(cri::ImageFsInfoResponse::default()))
    }
}

fn name(spec: Option<cri::ImageSpec>) -> String {
    spec.unwrap_or_default().image
}

fn id(name: &str) -> String {
    format!("sha256:{name}")
}

fn image(name: &str) -> Image {
    Image { id: id(name), repo_tags: vec![name.to_owned()], size: 1, ..Default::default() }
}
